// What the official client sees of a Grow Agent, in one encoding. Prints one line per behaviour.
import { args, connectTo, failure, print, until } from "./common.mjs";

const { encoding } = args;
const client = connectTo(encoding);
const agent = (user) => client.growAgent.getOrCreate([`${args.run}-${encoding}-${user}`]);
const codeOf = (promise) => promise.then((value) => value, (error) => failure(error).error ?? failure(error));

// What is the same in every run: ids as their shape, times as whether they are there.
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const plain = (value) =>
	Object.fromEntries(
		Object.entries(value)
			.filter(([, field]) => field !== undefined)
			.map(([name, field]) => {
				if (typeof field === "string" && UUID.test(field)) return [name, "id"];
				if (name.endsWith("At")) return [name, Number(field) > 1_700_000_000_000 ? "time" : field];
				if (name === "error") return [name, `${field.group}.${field.code}`];
				return [name, Number.isInteger(Number(field)) && typeof field !== "boolean" && typeof field !== "string" ? Number(field) : field];
			}),
	);

const EVENTS = ["thread.created", "thread.updated", "thread.deleted", "message.completed", "message.failed"];

const behaviours = {
	async a_chat_is_heard_as_events_before_its_reply() {
		const connection = agent("events").connect();
		const heard = [];
		for (const name of EVENTS) connection.on(name, (event) => heard.push([name, plain(event)]));
		await connection.status();
		const reply = await connection.chat({ text: "Hello\nthere", clientMessageId: "1" });
		heard.push(["reply", plain(reply)]);
		await connection.dispose();
		return heard;
	},
	async a_chat_that_is_sent_again_changes_nothing() {
		const handle = agent("again");
		const calls = await Promise.all([1, 2, 3].map(() => handle.chat({ text: "once", clientMessageId: "same" })));
		const { threads } = await handle.threads();
		const { messages } = await handle.messages({ thread: calls[0].thread });
		return [new Set(calls.map(({ message }) => message)).size, threads.length, messages.map(({ role }) => role)];
	},
	async threads_are_listed_renamed_archived_and_deleted() {
		const handle = agent("threads");
		const one = await handle.chat({ text: "one", clientMessageId: "1" });
		const two = await handle.chat({ text: "two", clientMessageId: "2" });
		await handle.renameThread({ thread: one.thread, title: "Uno" });
		await handle.archiveThread({ thread: two.thread });
		const titles = async (request) => (await handle.threads(request)).threads.map(({ title }) => title);
		const listed = [await titles(), await titles({ archived: true })];
		await handle.deleteThread({ thread: one.thread });
		return [...listed, await titles(), await codeOf(handle.messages({ thread: one.thread }))];
	},
	async messages_come_in_pages() {
		const handle = agent("pages");
		const { thread } = await handle.chat({ text: "0", clientMessageId: "0" });
		for (let count = 1; count < 4; count++) await handle.chat({ text: String(count), thread, clientMessageId: String(count) });
		const newest = await handle.messages({ thread, limit: 3 });
		const older = await handle.messages({ thread, limit: 3, before: Number(newest.messages[0].number) });
		return [newest, older].map(({ messages, more }) => [messages.map(({ number }) => Number(number)), more]);
	},
	async what_was_said_is_there_after_a_sleep() {
		const handle = agent("sleep");
		const { thread } = await handle.chat({ text: "remember me", clientMessageId: "1" });
		const id = await handle.resolve();
		await fetch(`${args.url}/actors/${id}/sleep?namespace=default`, { method: "POST", body: "{}" });
		return (await handle.messages({ thread })).messages[0].text;
	},
	async bad_input_has_stable_codes() {
		const handle = agent("bad");
		return await Promise.all(
			[
				handle.chat({ text: " ", clientMessageId: "1" }),
				handle.chat({ text: "a\u0000b", clientMessageId: "1" }),
				handle.chat({ text: "x".repeat(32_769), clientMessageId: "1" }),
				handle.chat({ text: "x", clientMessageId: "a b" }),
				handle.chat({ text: "x", clientMessageId: "1", thread: "'; DROP TABLE threads; --" }),
				handle.chat({ text: 1, clientMessageId: "1" }),
				handle.chat({ text: "x", clientMessageId: "1", colour: "red" }),
				handle.chat(),
				handle.renameThread({ thread: "x", title: "" }),
				handle.threads({ limit: 1000 }),
				handle.threads({ limit: -1 }),
			].map(codeOf),
		).then(async (codes) => [...codes, plain((({ threads, messages }) => ({ threads, messages }))(await handle.status()))]);
	},
	async a_deployment_without_a_sandbox_says_so() {
		const { sandbox } = await agent("status").status();
		return plain(sandbox);
	},
	async a_second_device_resumes_without_a_gap() {
		const handle = agent("resume");
		const { thread } = await handle.chat({ text: "first", clientMessageId: "1" });
		const second = client.growAgent.getOrCreate([`${args.run}-${encoding}-resume`], { params: { after: 0 } }).connect();
		const heard = [];
		second.on("message.completed", ({ text }, { seq }) => heard.push([text, Number(seq)]));
		await second.status();
		await handle.chat({ text: "second", thread, clientMessageId: "2" });
		await until("both", () => heard.length === 2);
		await second.dispose();
		return heard;
	},
};

await Promise.all(
	Object.entries(behaviours).map(async ([behaviour, run]) => {
		print({ behaviour, result: await run().catch(failure) });
	}),
);
process.exit(0);
