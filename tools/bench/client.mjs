// One phase of the benchmark against one server: `node client.mjs '{"phase": "sequential", ...}'` prints one line of JSON.
//
// The options are those of the phase (each reads them by name below), of the driver (`driver`, `url`, `prefix` or `actor`), and
// `pids`: the processes of the server, whose memory and processor time are counted with those of their children.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { driver, within } from "./drivers.mjs";
import { machineBusy, processorTime, residentKiB } from "./process.mjs";

const options = JSON.parse(process.argv[2]);
const pids = options.pids ?? [];
const run = options.run ?? Math.random().toString(36).slice(2, 8);
const nameOf = (...parts) => [run, ...parts].join("-");
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const server = await driver(options);

function summary(ms) {
	const sorted = Float64Array.from(ms).sort();
	const at = (share) => sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))];
	return { count: sorted.length, min_ms: sorted[0], p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1) };
}

/** Counts processor time and wall time of what happens between its two calls. */
function meter() {
	const [serverTime, busy, own, start] = [processorTime(pids), machineBusy(), process.cpuUsage(), performance.now()];
	return (count) => {
		const seconds = (performance.now() - start) / 1000;
		const client = process.cpuUsage(own);
		return {
			operations: count,
			per_second: count / seconds,
			server_cpu_us: serverTime() / count,
			client_cpu_us: (client.user + client.system) / count,
			machine_busy: busy(),
		};
	};
}

/** Runs `work(i)` for every i below count, `workers` at a time. */
async function spread(count, workers, work) {
	let next = 0;
	const worker = async () => {
		while (next < count) await work(next++);
	};
	await Promise.all(Array.from({ length: Math.min(workers, count) }, worker));
}

/** How often memory is looked at in one window. */
const MEMORY_SAMPLES = 30;
/** The interval of the timers of actors that misbehave. */
const TICK_MS = 10;

/** Starts the process that has actors misbehave; `tell` gives what it answers. */
function misbehaviour() {
	const all = { ...options, phase: "misbehave", driver: "official", actor: "misbehaving", run };
	const child = spawn(process.execPath, ["client.mjs", JSON.stringify(all)], { stdio: ["pipe", "pipe", "inherit"] });
	const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
	return {
		async tell(command) {
			child.stdin.write(`${command}\n`);
			const { value } = await within(lines.next(), `an answer to "${command}"`, 60_000);
			const answer = JSON.parse(value);
			if (answer.ok === false) throw new Error(answer.error);
			return answer;
		},
	};
}

const phases = {
	/** One increment after the other. */
	async sequential({ transport, count = 2000, warmup = 300 }) {
		const name = nameOf("sequential", transport);
		const connection = transport === "ws" ? await server.open(name) : null;
		const once = connection ? () => connection.increment(1) : () => server.increment(name, 1);
		for (let i = 0; i < warmup; i++) await within(once(), "an increment");
		const ms = [];
		const measured = meter();
		for (let i = 0; i < count; i++) {
			const start = performance.now();
			await within(once(), "an increment");
			ms.push(performance.now() - start);
		}
		return { ...summary(ms), ...measured(count) };
	},

	/** `flight` increments at a time over `actors` actors, each on its own socket, or all on one (`shared`). */
	async throughput({ transport, actors = 1, flight = 64, shared = false, duration_ms = 4000, warmup_ms = 1000, memory = false }) {
		const names = Array.from({ length: actors }, (_, i) => nameOf("throughput", i));
		const connections = [];
		if (transport === "ws") {
			const count = shared ? 1 : flight;
			for (let i = 0; i < count; i++) connections.push(await within(server.open(names[i % actors]), "a connection"));
		}
		let [counting, stop, done] = [false, false, 0];
		const worker = async (index) => {
			const connection = connections[index % Math.max(1, connections.length)];
			for (let turn = index; !stop; turn += flight) {
				await (connection ? connection.increment(1) : server.increment(names[turn % actors], 1));
				if (counting) done += 1;
			}
		};
		const workers = Promise.all(Array.from({ length: flight }, (_, index) => worker(index)));
		await Promise.race([workers, sleep(warmup_ms)]);
		const before = memory ? residentKiB(pids) : 0;
		const measured = meter();
		counting = true;
		const memory_kib = [];
		const sampling = memory ? setInterval(() => memory_kib.push(residentKiB(pids)), duration_ms / MEMORY_SAMPLES) : null;
		await Promise.race([workers, sleep(duration_ms)]);
		clearInterval(sampling);
		counting = false;
		const result = measured(done);
		if (memory) Object.assign(result, { before_kib: before, after_kib: residentKiB(pids), memory_kib });
		stop = true;
		await within(workers, "the last increments");
		return result;
	},

	/** New actors, each with its first increment. */
	async cold({ count = 200, flight = 1 }) {
		await server.increment(nameOf("cold", "warmup"), 1);
		const ms = [];
		const measured = meter();
		await spread(count, flight, async (i) => {
			const start = performance.now();
			await within(server.increment(nameOf("cold", flight, i), 1), "a first increment");
			ms.push(performance.now() - start);
		});
		return { ...summary(ms), ...measured(count) };
	},

	/** One event to many sockets; the time until the last one has it. */
	async fanout({ count = 50, rounds = 200, warmup = 20 }) {
		const name = nameOf("fanout");
		await server.increment(name, 1);
		let [round, seen, complete] = [0, 0, () => {}];
		for (let i = 0; i < count; i++) {
			const connection = await within(server.open(name), "a connection");
			connection.onEvent((event) => {
				if (event.round === round && ++seen === count) complete();
			});
			await connection.get();
		}
		const ms = [];
		let measured = meter();
		for (let i = 0; i < warmup + rounds; i++) {
			if (i === warmup) measured = meter();
			[round, seen] = [i, 0];
			const all = new Promise((resolve) => (complete = resolve));
			const start = performance.now();
			const answered = server.broadcast(name, { round });
			await within(all, "an event to all");
			if (i >= warmup) ms.push(performance.now() - start);
			await within(answered, "a broadcast");
		}
		return { ...summary(ms), ...measured(rounds) };
	},

	/** Memory of many actors, awake or after `sleep_ms`; then the first message to some that sleep. */
	async memory({ actors = 1000, rehearsed = 1, sockets = false, settle_ms = 1500, idle_ms = 3000, wake = 0, flight = 16 }) {
		// Those awake at the same time while the actors are made belong to no sleeping actor: a rehearsal fills what is kept for reuse.
		await spread(rehearsed, flight, (i) => within(server.increment(nameOf("rehearsal", i), 1), "a first increment"));
		await sleep(settle_ms);
		const before = residentKiB(pids);
		const connections = [];
		await spread(actors, flight, async (i) => {
			const name = nameOf("memory", i);
			if (!sockets) return within(server.increment(name, 1), "a first increment");
			const connection = await within(server.open(name), "a connection");
			connections.push(connection);
			await within(connection.increment(1), "a first increment");
		});
		await sleep(settle_ms);
		const after = residentKiB(pids);
		const idle = processorTime(pids);
		await sleep(idle_ms);
		const idlePercent = idle() / (idle_ms * 10);
		const ms = [];
		let [gone, right] = [0, 0];
		for (const connection of connections.slice(0, wake)) {
			const start = performance.now();
			const { n, mem } = await within(connection.info(), "a wake");
			ms.push(performance.now() - start);
			gone += mem === 0 ? 1 : 0;
			right += n === 1 ? 1 : 0;
		}
		const open = connections.filter((connection) => connection.isOpen()).length;
		const woken = wake > 0 ? { wake: summary(ms), gone, right, open } : {};
		return { before_kib: before, after_kib: after, kib_each: (after - before) / actors, idle_percent: idlePercent, ...woken };
	},

	/** What actors that behave feel of a hundred that do not: quiet and loud windows in turns. The bad ones' client is a process of its own. */
	async neighbours({ actors = 16, pace_ms = 5, rounds = 6, window_ms = 2500, settle_ms = 500 }) {
		const connections = [];
		for (let i = 0; i < actors; i++) connections.push(await within(server.open(nameOf("good", i)), "a connection"));
		const watch = async (durationMs) => {
			const ms = [];
			const end = performance.now() + durationMs;
			const one = async (connection) => {
				while (performance.now() < end) {
					const start = performance.now();
					await within(connection.increment(1), "an increment");
					ms.push(performance.now() - start);
					await sleep(pace_ms * (0.5 + Math.random()));
				}
			};
			await Promise.all(connections.map(one));
			return ms;
		};
		await watch(window_ms);
		const bad = misbehaviour();
		const windows = { quiet: [], loud: [] };
		for (let round = 0; round < rounds; round++) {
			windows.quiet.push(summary(await watch(window_ms)));
			await bad.tell("start");
			await sleep(settle_ms);
			windows.loud.push(summary(await watch(window_ms)));
			await bad.tell("stop");
			await sleep(settle_ms);
		}
		const counts = await bad.tell("end");
		const median = (kind, field) => {
			const sorted = windows[kind].map((window) => window[field]).sort((a, b) => a - b);
			return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
		};
		const figures = {};
		for (const field of ["p50_ms", "p99_ms"]) {
			figures[`quiet_${field}`] = median("quiet", field);
			figures[`loud_${field}`] = median("loud", field);
			figures[`ratio_${field}`] = median("loud", field) / median("quiet", field);
		}
		return { ...figures, bad: counts, windows };
	},

	/** A hundred actors that misbehave between "start" and "stop" on the standard input; the answer to "end" is what came of it. */
	async misbehave({ of_each = 25, pause_ms = 20, bad_kinds }) {
		const kinds = [
			["spin", []],
			["allocate", []],
			["eventFlood", []],
			["tickEvery", [TICK_MS]],
		].filter(([kind]) => bad_kinds?.includes(kind) ?? true);
		const counts = {};
		let [loud, workers] = [false, []];
		const note = (kind, outcome) => {
			counts[kind] ??= {};
			counts[kind][outcome] = (counts[kind][outcome] ?? 0) + 1;
		};
		const work = async (action, args, name) => {
			while (loud) {
				const outcome = await server.call(name, action, ...args).then(
					() => "done",
					(error) => `${error.group}.${error.code}`,
				);
				note(action, outcome);
				// The timer ticks by itself.
				await sleep(action === "tickEvery" ? 500 : pause_ms);
			}
			// The next quiet window is to be quiet.
			if (action === "tickEvery") counts.ticks = (counts.ticks ?? 0) + (await server.call(name, action, 0));
		};
		const commands = {
			async start() {
				loud = true;
				workers = kinds.flatMap(([action, args]) =>
					Array.from({ length: of_each }, (_, i) => work(action, args, nameOf("bad", action, i))),
				);
			},
			async stop() {
				loud = false;
				await Promise.all(workers);
			},
			async end() {},
		};
		for await (const line of createInterface({ input: process.stdin })) {
			await commands[line]();
			if (line === "end") break;
			console.log(JSON.stringify({ did: line }));
		}
		return counts;
	},

	/** `bursts` times `flight` increments sent at once on one socket. */
	async burst({ flight = 64, bursts = 10 }) {
		const connection = await server.open(nameOf("burst"));
		await connection.increment(1);
		console.log(JSON.stringify({ ready: true }));
		await new Promise((resolve) => process.stdin.once("data", resolve));
		for (let i = 0; i < bursts; i++) {
			await within(Promise.all(Array.from({ length: flight }, () => connection.increment(1))), "a burst");
		}
		return { operations: flight * bursts };
	},

	/** Increments until the server is killed; then waits for its return and compares what is stored with what was acknowledged. */
	async kill({ actors = 16, flight = 4, return_timeout_ms = 30_000 }) {
		const counts = await Promise.all(
			Array.from({ length: actors }, async (_, i) => {
				const name = nameOf("kill", i);
				const connection = await server.open(name);
				return { name, connection, sent: 0, acknowledged: 0 };
			}),
		);
		const worker = async (count) => {
			for (;;) {
				count.sent += 1;
				const value = await count.connection.increment(1);
				count.acknowledged = Math.max(count.acknowledged, value);
			}
		};
		const workers = counts.flatMap((count) => Array.from({ length: flight }, () => worker(count)));
		const ends = Promise.allSettled(workers);
		const first = Promise.race(workers).catch(() => performance.now());
		console.log(JSON.stringify({ ready: true }));
		const lostAt = await within(first, "the kill", return_timeout_ms);
		await ends;
		let back = null;
		while (back === null && performance.now() - lostAt < return_timeout_ms) {
			back = await server.get(counts[0].name).then(() => performance.now() - lostAt, () => sleep(2).then(() => null));
		}
		if (back === null) throw new Error(`the server did not come back within ${return_timeout_ms} ms`);
		let [lost, doubled, acknowledged] = [0, 0, 0];
		for (const count of counts) {
			const stored = await within(server.get(count.name), "the stored count");
			acknowledged += count.acknowledged;
			lost += Math.max(0, count.acknowledged - stored);
			doubled += Math.max(0, stored - count.sent);
		}
		return { acknowledged, lost, doubled, back_ms: back };
	},
};

try {
	const phase = phases[options.phase];
	if (!phase) throw new Error(`there is no phase ${options.phase}`);
	console.log(JSON.stringify({ ok: true, ...(await phase(options)) }));
	process.exit(0);
} catch (error) {
	console.log(JSON.stringify({ ok: false, error: String(error?.message ?? error).slice(0, 500) }));
	process.exit(1);
}
