// EvtStore on PostgreSQL: node evtstore.mjs URL
import { createAggregate, createDomain } from "evtstore";
import { createProvider, migrate } from "evtstore/provider/postgres.js";
import postgres from "postgres";

import { add, begin, ITEM_ADDED, makePayload, PLACED, serve, STORE, typeOf } from "./peer.mjs";

const [url] = process.argv.slice(2);
const sql = postgres(url);
const tables = { events: "events", bookmarks: "bookmarks" };
const provider = createProvider({ sql, ...tables });
const { domain, createHandler } = createDomain(
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

const countItem = (id) => sql`
  INSERT INTO read_model (order_id, items) VALUES (${id}, 1)
  ON CONFLICT (order_id) DO UPDATE SET items = read_model.items + 1`;
const readModel = createHandler("orders", [STORE]);
readModel.handle(STORE, PLACED, countItem);
readModel.handle(STORE, ITEM_ADDED, countItem);

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
  project: () => {
    readModel.reset(); // so that it reads its bookmark
    return readModel.runOnce();
  },
});
