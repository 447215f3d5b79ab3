// Tries one kind of misbehaviour after the other, while neighbours go on. Commands are JSON: `{actor, key, action, args}` calls an
// action, `{actor, key, do}` does one of the things below. Prints `{result, neighbours}`: what came of it, and how many calls the
// neighbours answered meanwhile.
import { args, commands, connectTo, failure, print, shown, until } from "./common.mjs";

const client = connectTo("bare");
const good = client[args.neighbour].getOrCreate(["neighbour"]);
const same = client[args.misbehaving].getOrCreate(["well-behaved neighbour of the same component"]);

const ways = {
	async connect(handle) {
		const connection = handle.connect();
		const errors = [];
		connection.onError((error) => errors.push(failure(error)));
		await until("a connection or an error", () => errors.length > 0 || connection.connStatus === "connected");
		const result = errors[0] ?? connection.connStatus;
		await connection.dispose();
		return result;
	},
	async queue(handle) {
		return await handle.send("any", 1, { wait: true, timeout: 5000 });
	},
	async request(handle) {
		const response = await handle.fetch("/x");
		return [response.status, await response.text()];
	},
	async subscribe(handle) {
		const connection = handle.connect();
		connection.on("anything", () => {});
		const errors = [];
		connection.onError((error) => errors.push(failure(error)));
		await until("the error", () => errors.length > 0);
		await connection.dispose();
		return errors[0];
	},
	async socket(handle) {
		const socket = await handle.webSocket("/x");
		let closed;
		socket.addEventListener("close", ({ code, reason }) => (closed = [code, reason.split("#")[0]]));
		return await until("the close", () => closed, 3000);
	},
};

const { next } = commands();
print({ ready: [await good.getCount(), await same.ok()] });
for (let line = await next(); line !== "end"; line = await next()) {
	const { actor, key, action, args: values, do: way } = JSON.parse(line);
	const handle = client[actor].getOrCreate([key]);
	let over = false;
	const work = (way ? ways[way](handle) : handle.action({ name: action, args: values ?? [] })).then(shown, failure).finally(() => (over = true));
	// The neighbours answer meanwhile, and once more when it is over.
	let neighbours = 0;
	do {
		await Promise.all([good.increment(1), same.ok()]);
		neighbours++;
	} while (!over);
	await Promise.all([good.increment(1), same.ok()]);
	print({ result: await work, neighbours });
}
process.exit(0);
