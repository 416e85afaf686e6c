// Serves a program that measures: a line of JSON asks for work, and a line answers.
import { createInterface } from "node:readline";
import { performance } from "node:perf_hooks";

export const STORE = "ORDERS";
export const PLACED = "ORDER_PLACED";
export const ITEM_ADDED = "ITEM_ADDED";

export const typeOf = (version) => (version === 1 ? PLACED : ITEM_ADDED);

// As workload.py makes them.
export const makePayload = (number) => ({
  sku: `SKU-${String(number).padStart(8, "0")}`,
  title: "Café crème cup, stoneware, hand glazed, 250 ml",
  quantity: (number % 7) + 1,
  price: { amount: 1000 + (number % 997), currency: "EUR" },
  discount: number % 3 ? null : 0.125,
  gift: number % 5 === 0,
  tags: ["kitchen", "stoneware", "autumn", "limited edition"],
  warehouse: { code: "LYS-2", aisle: "C", shelf: number % 40, city: "Lyon" },
  note: "Leave the parcel with the neighbour on the second floor if nobody is at home.",
});

// As orders.py reduces them.
export const begin = (payload) => ({
  items: 1,
  total: payload.quantity * payload.price.amount,
  lastSku: payload.sku,
});
export const add = (order, payload) => ({
  items: order.items + 1,
  total: order.total + payload.quantity * payload.price.amount,
  lastSku: payload.sku,
});

const pushVersions = async (contestant, id, count) => {
  for (let version = 1; version <= count; version++) {
    await contestant.push(id, version, makePayload(version));
  }
};

const time = async (work) => {
  const began = performance.now();
  const value = await work();
  return { seconds: (performance.now() - began) / 1000, value };
};

const WORKS = {
  show: async (contestant, { setting }) => ({ value: await contestant.show(setting) }),
  fill: async (contestant, { versions }) => {
    for (const [id, last] of Object.entries(versions)) await contestant.fill(id, last);
    return {};
  },
  push: (contestant, { ids, count }) =>
    time(() => Promise.all(ids.map((id) => pushVersions(contestant, id, count)))),
  load: (contestant, { id, times }) =>
    time(async () => {
      let version;
      for (let number = 0; number < times; number++) version = await contestant.load(id);
      return version;
    }),
  scan: (contestant, { batch }) => time(() => contestant.scan(batch)),
  project: (contestant) => time(() => contestant.project()),
};

export const serve = async (contestant) => {
  console.log(JSON.stringify({}));
  for await (const line of createInterface({ input: process.stdin })) {
    const { work, ...options } = JSON.parse(line);
    console.log(JSON.stringify(await WORKS[work](contestant, options)));
  }
  process.exit();
};
