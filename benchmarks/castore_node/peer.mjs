// Loads orders with Castore: node peer.mjs URL TABLE STORE
// A line "AGGREGATE_ID TIMES" is answered by the version of the aggregate, after so many loads.
import { createInterface } from "node:readline";

import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { EventStore, EventType } from "@castore/core";
import { DynamoDBSingleTableEventStorageAdapter } from "@castore/event-storage-adapter-dynamodb";

const [endpoint, tableName, eventStoreId] = process.argv.slice(2);

// As with_castore.py reduces them.
const reduceOrder = (order, { aggregateId, version, type, payload }) => {
  const price = payload.quantity * payload.price.amount;
  return type === "ORDER_PLACED"
    ? { aggregateId, version, items: 1, total: price, lastSku: payload.sku }
    : {
        ...order,
        version,
        items: order.items + 1,
        total: order.total + price,
        lastSku: payload.sku,
      };
};

const orders = new EventStore({
  eventStoreId,
  eventTypes: [
    new EventType({ type: "ORDER_PLACED" }),
    new EventType({ type: "ITEM_ADDED" }),
  ],
  reducer: reduceOrder,
  eventStorageAdapter: new DynamoDBSingleTableEventStorageAdapter({
    tableName,
    dynamoDBClient: new DynamoDBClient({
      endpoint,
      region: "eu-west-1",
      credentials: { accessKeyId: "key", secretAccessKey: "secret" },
    }),
  }),
});

for await (const line of createInterface({ input: process.stdin })) {
  const [aggregateId, times] = line.split(" ");
  let version;
  for (let number = 0; number < Number(times); number++) {
    const { aggregate } = await orders.getExistingAggregate(aggregateId);
    version = aggregate.version;
  }
  console.log(version);
}
