// What every script shares: its arguments, lines of JSON, values as JSON, and waiting for a condition.
import { createClient } from "../../../tools/client.mjs";
import { createInterface } from "node:readline";

export const args = JSON.parse(process.argv[2] ?? "{}");

export const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

export const connectTo = (encoding) => createClient({ endpoint: args.url, encoding, devtools: false });

// Resolves when the condition holds; a condition that never does is an error.
export async function until(what, condition, milliseconds = 10_000) {
	const end = Date.now() + milliseconds;
	for (;;) {
		const value = await condition();
		if (value) return value;
		if (Date.now() > end) throw new Error(`waited ${milliseconds} ms for ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
}

// Values that JSON can't say, as objects with one field that begins with `$`.
export function shown(value) {
	if (value === undefined) return { $undefined: true };
	if (typeof value === "bigint") return { $bigint: String(value) };
	if (typeof value === "number" && !Number.isFinite(value)) return { $number: String(value) };
	if (value instanceof Date) return { $date: value.getTime() };
	if (value instanceof ArrayBuffer) return { $buffer: [...new Uint8Array(value)] };
	if (ArrayBuffer.isView(value)) return { $bytes: [...new Uint8Array(value.buffer, value.byteOffset, value.byteLength)] };
	if (value instanceof Map) return { $map: [...value].map(shown) };
	if (value instanceof Set) return { $set: [...value].map(shown) };
	if (Array.isArray(value)) return value.map(shown);
	if (value !== null && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, shown(v)]));
	return value;
}

// An error as `group.code`, with metadata if it has any.
export const failure = (error) =>
	error.group === undefined
		? { thrown: String(error) }
		: { error: `${error.group}.${error.code}`, ...(error.metadata == null ? {} : { metadata: shown(error.metadata) }) };

// What the other side sends, line by line.
export function commands() {
	const waiting = [];
	const lines = [];
	createInterface({ input: process.stdin }).on("line", (line) => (waiting.length > 0 ? waiting.shift()(line) : lines.push(line)));
	return { next: () => (lines.length > 0 ? Promise.resolve(lines.shift()) : new Promise((resolve) => waiting.push(resolve))) };
}

// A connection that comes back after the host was away. The official client mends a connection by itself while the host can be reached;
// when it can't, it gives up (status `idle`), and the application connects anew. `prepare` is called with each new connection.
export function persistent(handle, prepare) {
	const AWAY_MS = 10;
	const self = { current: undefined, ended: false, end };
	function open() {
		if (self.ended) return;
		const connection = handle.connect();
		self.current = connection;
		connection.onStatusChange((status) => {
			if (status !== "idle" || self.current !== connection) return;
			self.current = undefined;
			connection.dispose();
			setTimeout(open, AWAY_MS);
		});
		prepare(connection);
	}
	async function end() {
		self.ended = true;
		await self.current?.dispose();
	}
	open();
	return self;
}
