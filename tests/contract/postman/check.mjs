// Runs the collection that `posthaste openapi --postman` makes, as its users would: `node check.mjs collection.json stage.json`.
//
// All of it is sent as a merchant's key, about things that exist where there are any; then the requests of a story are sent
// one after the other, each with what the one before answered. What the collection itself asks for (a status that the document
// names) has to hold, and what the story expects.
import { readFileSync } from "node:fs";
import newman from "newman";

const [collection, stage] = process.argv.slice(2, 4).map((path) => JSON.parse(readFileSync(path, "utf8")));
const items = collection.item.flatMap((folder) => folder.item);

/** The collection with these requests alone. */
const withItems = (item) => ({ ...collection, item });

/** Runs a collection; gives what was answered to each request, by its id. */
function run(part, token) {
    const variable = [
        { key: "baseUrl", value: stage.url },
        { key: "token", value: token },
    ];
    return new Promise((resolve, reject) => {
        const answers = [];
        newman
            .run({ collection: { ...part, variable }, timeoutRequest: 30_000, reporters: [] })
            .on("request", (error, { item, response }) => {
                if (error) return reject(new Error(`${item.name}: ${error.message}`));
                answers.push({ id: item.id, name: item.name, status: response.code, body: response.stream.toString() });
            })
            .on("done", (error, summary) => {
                if (error) return reject(error);
                const failures = summary.run.failures.map(({ source, error }) => `${source?.name}: ${error.message}`);
                if (failures.length > 0) return reject(new Error(failures.join("\n")));
                resolve({ answers, assertions: summary.run.stats.assertions.total });
            });
    });
}

/** A request with other values in its path and body. */
function filledIn(item, { path = {}, body, query = {} } = {}) {
    const copy = structuredClone(item);
    for (const variable of copy.request.url.variable) variable.value = path[variable.key] ?? variable.value;
    for (const one of copy.request.url.query) {
        if (one.key in query) Object.assign(one, { value: String(query[one.key]), disabled: false });
    }
    if (body) copy.request.body.raw = JSON.stringify({ ...JSON.parse(copy.request.body.raw), ...body });
    return copy;
}

function fail(words) {
    console.error(words);
    process.exit(1);
}

// All of it, about what there is.
const about = items.map((item) => {
    const path = `/${item.request.url.path.join("/")}`;
    const [, id] = Object.entries(stage.ids).find(([start]) => path.startsWith(start)) ?? [];
    return filledIn(item, { path: { ...stage.parameters, ...(id && { id }) } });
});
const all = await run(withItems(about), stage.tokens.key);
const sound = all.answers.filter(({ status }) => status < 300).length;
if (all.answers.length !== items.length || all.assertions < items.length || sound < 20) {
    fail(`${all.answers.length} of ${items.length} requests, ${all.assertions} assertions, ${sound} good answers`);
}

// A story.
const of = (id) => items.find((item) => item.id === id) ?? fail(`the collection has no request ${id}`);
async function tell(role, id, values, expected) {
    const { answers } = await run(withItems([filledIn(of(id), values)]), stage.tokens[role]);
    const [{ status, body }] = answers;
    if (status !== expected) fail(`${id} as ${role}: ${status} and not ${expected}: ${body}`);
    return body ? JSON.parse(body) : undefined;
}
const order = await tell("key", "orders_place", { body: stage.order }, 201);
const path = { id: order.id };
const read = await tell("key", "orders_read", { path }, 200);
if (read.reference !== stage.order.reference) fail(`another order: ${JSON.stringify(read)}`);
const list = await tell("key", "orders_list", { query: { reference: stage.order.reference, limit: 5 } }, 200);
if (list.items.length !== 1 || list.items[0].id !== order.id) fail(`another list: ${JSON.stringify(list)}`);
await tell("key", "orders_tracking_link", { path }, 200);
await tell("key", "orders_cancel", { path, body: { reason: "closed early" } }, 200);
const timeline = await tell("key", "orders_timeline", { path }, 200);
if (!timeline.items.some(({ event }) => event === "canceled")) fail(`it was not canceled: ${JSON.stringify(timeline)}`);
const refused = await tell("key", "orders_place", { body: { ...stage.order, size: "large" } }, 422);
if (refused.errors[0].field !== "size") fail(`another field: ${JSON.stringify(refused)}`);
const lacking = await tell("key", "drivers_create", {}, 403);
if (lacking.type !== "/problems/forbidden") fail(`another problem: ${JSON.stringify(lacking)}`);
console.log(`the collection: ${all.answers.length} requests, ${sound} done, and a story; every answer as the document says`);
