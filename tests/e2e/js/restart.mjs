// A client that lives through restarts of the host, in all encodings at once. Commands: `again` after each restart, then `end`.
import { commands, connectTo, persistent, print, until } from "./common.mjs";

const encodings = ["json", "cbor", "bare"];
const sessions = encodings.map((encoding) => {
	const heard = [];
	const handle = connectTo(encoding).counter.getOrCreate(["restart", encoding]);
	const session = persistent(handle, (connection) => connection.on("ping", (payload) => heard.push(payload)));
	return { handle, session, heard };
});
const each = (work) => Promise.all(sessions.map(work));

await each(({ session }) => session.current.increment(1));
print({ ready: true });
const { next } = commands();
for (let round = 1; (await next()) === "again"; round++) {
	const report = await each(async ({ handle, session, heard }) => {
		await until("the connection", () => session.current?.connStatus === "connected", 40_000);
		const connection = session.current;
		const reply = await connection.broadcastPing(round);
		const overHttp = await handle.increment(1);
		return { reply, heard: heard.splice(0), overHttp, overSocket: await connection.getCount() };
	});
	print({ report });
}
await each(({ session }) => session.end());
process.exit(0);
