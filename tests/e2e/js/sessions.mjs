// Two sockets with tokens that end in a moment: the official client refreshes one, nobody refreshes the other. Prints how they fared.
import { args, commands, connectTo, failure, print, until } from "./common.mjs";

const LIFETIME_SECONDS = args.lasting ? 600 : 2;
const next = commands();

async function issue(session) {
	const response = await fetch(`${args.url}/development/token`, {
		method: "POST",
		body: JSON.stringify({ user: "ada", session, lifetimeSeconds: LIFETIME_SECONDS }),
	});
	if (!response.ok) throw new Error(await response.text());
	return (await response.json()).token;
}

// A plain WebSocket, so that code and reason of the close are seen as they are.
async function plain(session) {
	const params = encodeURIComponent(JSON.stringify({ token: await issue(session) }));
	const url = `${args.url.replace("http", "ws")}/gateway/counter/connect?rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key=ada`;
	const socket = new WebSocket(url, ["rivet", "rivet_encoding.json", `rivet_conn_params.${params}`]);
	const seen = {};
	socket.onclose = (event) => (seen.close = [event.code, event.reason]);
	socket.onmessage = () => (seen.open = true);
	await until("the socket", () => seen.open);
	return seen;
}

const left = await plain("left-alone");
const client = connectTo(args.encoding);
const connection = client.counter.getOrCreate(["ada"], { params: { token: await issue("kept") } }).connect();
const statuses = [];
connection.onStatusChange((status) => statuses.push(status));
await connection.increment(1);
const before = statuses.length;
const opened = Date.now();
let answer;
await until(
	"the end of the socket that is left alone",
	async () => {
		answer = await connection.action({ name: "growqr.refreshToken", args: [await issue("kept")] });
		await new Promise((resolve) => setTimeout(resolve, 100));
		return args.lasting || (left.close && Date.now() - opened > 3 * LIFETIME_SECONDS * 1000);
	},
	30_000,
);
const wrong = await connection.action({ name: "growqr.refreshToken", args: [await issue("another")] }).catch(failure);
print({
	kept: {
		left: left.close,
		count: await connection.increment(1),
		changes: statuses.slice(before),
		refreshed: Number.isInteger(answer.expires) && answer.refreshBy > answer.expires,
		wrong,
	},
});
if (args.revoked) {
	await next.next();
	await until("the end of the revoked session", () => statuses.slice(before).includes("disconnected"), 20_000);
	await until("the client to give up", () => statuses.at(-1) === "idle", 20_000);
	print({ revoked: statuses.slice(before) });
}
process.exit(0);
