// EvtStore on PostgreSQL: node evtstore.mjs URL
import { createAggregate, createDomain } from "evtstore";
import { createProvider, migrate } from "evtstore/provider/postgres.js";
import postgres from "postgres";

import { add, begin, makePayload, PLACED, serve, STORE, typeOf } from "./peer.mjs";

const [url] = process.argv.slice(2);
const sql = postgres(url);
const tables = { events: "events", bookmarks: "bookmarks" };
const provider = createProvider({ sql, ...tables });
const { domain } = createDomain(
  { provider },
  {
    orders: createAggregate({
      stream: STORE,
      create: () => ({ items: 0, total: 0, lastSku: "" }),
      fold: (event, order) => (event.type === PLACED ? begin(event) : add(order, event)),
    }),
  },
);

const append = (id, first, payloads) => {
  const events = payloads.map((payload, index) => ({ type: typeOf(first + index), ...payload }));
  return provider.append(STORE, id, first, provider.createEvents(STORE, id, first, events));
};

await migrate({ sql, ...tables });
await serve({
  show: async (setting) => (await sql`SELECT current_setting(${setting}) AS value`)[0].value,
  push: (id, version, payload) => append(id, version, [payload]),
  fill: (id, last) => append(id, 1, Array.from({ length: last }, (_, index) => makePayload(index + 1))),
  load: async (id) => (await domain.orders.getAggregate(id)).version,
  scan: async (batch) => {
    let position = 0;
    let count = 0;
    for (;;) {
      const found = await provider.getEventsFrom(STORE, position, batch);
      if (found.length === 0) return count;
      position = found.at(-1).position;
      count += found.length;
    }
  },
});
