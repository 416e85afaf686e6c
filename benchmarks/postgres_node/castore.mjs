// Castore on PostgreSQL: node castore.mjs URL
import { EventStore, EventType } from "@castore/core";
import { PostgresEventStorageAdapter } from "@castore/event-storage-adapter-postgres";

import { add, begin, ITEM_ADDED, makePayload, PLACED, serve, STORE, typeOf } from "./peer.mjs";

const GROUP = 500;
const [connectionString] = process.argv.slice(2);
const adapter = new PostgresEventStorageAdapter({ connectionString });
const orders = new EventStore({
  eventStoreId: STORE,
  eventTypes: [new EventType({ type: PLACED }), new EventType({ type: ITEM_ADDED })],
  reducer: (order, { aggregateId, version, type, payload }) => ({
    aggregateId,
    version,
    ...(type === PLACED ? begin(payload) : add(order, payload)),
  }),
  eventStorageAdapter: adapter,
});

const makeEvent = (aggregateId, version, payload) => ({
  aggregateId,
  version,
  type: typeOf(version),
  payload,
});

await PostgresEventStorageAdapter.createEventTable({ connectionString });
await serve({
  show: async (setting) => (await adapter._sql`SELECT current_setting(${setting}) AS value`)[0].value,
  push: (id, version, payload) => orders.pushEvent(makeEvent(id, version, payload)),
  fill: async (id, last) => {
    for (let first = 1; first <= last; first += GROUP) {
      const group = [];
      for (let version = first; version < first + GROUP && version <= last; version++) {
        group.push(orders.groupEvent(makeEvent(id, version, makePayload(version))));
      }
      await EventStore.pushEventGroup(...group);
    }
  },
  load: async (id) => (await orders.getExistingAggregate(id)).aggregate.version,
});
