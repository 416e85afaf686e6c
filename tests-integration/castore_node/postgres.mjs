// Castore on PostgreSQL: node postgres.mjs URL TABLE STORE
// Each line is a call, [METHOD, ...ARGUMENTS]; its answer is a line, {"result": ...} or {"error": ...}.
import { createInterface } from "node:readline";

import { EventStore, EventType } from "@castore/core";
import { PostgresEventStorageAdapter } from "@castore/event-storage-adapter-postgres";

const [connectionString, tableName, eventStoreId] = process.argv.slice(2);

const pokemons = new EventStore({
  eventStoreId,
  eventTypes: [new EventType({ type: "APPEARED" }), new EventType({ type: "CAUGHT" })],
  reducer: (_, { aggregateId, version }) => ({ aggregateId, version }),
  eventStorageAdapter: new PostgresEventStorageAdapter({ connectionString, tableName }),
});

const toError = ({ message, code, eventStoreId, aggregateId, version }) => ({
  error: { message, code, eventStoreId, aggregateId, version },
});

const methods = {
  createTable: (options) =>
    PostgresEventStorageAdapter.createEventTable({ connectionString, tableName, ...options }),
  push: (event, options) => pokemons.pushEvent(event, options),
  pushGroup: (options, ...events) =>
    EventStore.pushEventGroup(options, ...events.map((each) => pokemons.groupEvent(each))),
  // All at once, each with an answer of its own.
  pushAll: (...events) =>
    Promise.all(
      events.map((each) => pokemons.pushEvent(each).then((result) => ({ result }), toError)),
    ),
  get: (aggregateId, options) => pokemons.getEvents(aggregateId, options),
  list: (options) => pokemons.listAggregateIds(options),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [method, ...args] = JSON.parse(line);
  const answer = await methods[method](...args).then((result) => ({ result }), toError);
  console.log(JSON.stringify(answer));
}
process.exit(); // its pool has no end
