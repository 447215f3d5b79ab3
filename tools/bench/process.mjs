// What processes cost, read from /proc: processor time of a tree of processes, resident memory, how busy the machine was.
import { readFileSync, readdirSync } from "node:fs";

/** Clock ticks in a second; the same on every Linux there is. */
const TICKS_PER_SECOND = 100;

const read = (path) => {
	try {
		return readFileSync(path, "utf8");
	} catch {
		// The process or thread has ended.
		return "";
	}
};

function tree(roots) {
	const all = [...roots];
	for (let i = 0; i < all.length; i++) {
		for (const thread of threads(all[i])) {
			const children = read(`/proc/${all[i]}/task/${thread}/children`).trim();
			if (children) all.push(...children.split(/\s+/).map(Number));
		}
	}
	return [...new Set(all)];
}

function threads(pid) {
	try {
		return readdirSync(`/proc/${pid}/task`);
	} catch {
		return [];
	}
}

/** Nanoseconds of processor time of every living thread. */
function threadTimes(pids) {
	const times = new Map();
	for (const pid of tree(pids)) {
		for (const thread of threads(pid)) {
			const nanoseconds = Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(" ")[0] || 0);
			times.set(`${pid}/${thread}`, nanoseconds);
		}
	}
	return times;
}

/** Starts to count; calling the result gives the microseconds of processor time since then. */
export function processorTime(pids) {
	const before = threadTimes(pids);
	return () => {
		let nanoseconds = 0;
		for (const [thread, now] of threadTimes(pids)) nanoseconds += now - (before.get(thread) ?? 0);
		return nanoseconds / 1000;
	};
}

/** Resident memory of the processes and their children. A page that is mapped several times (a component's data) counts once. */
export function residentKiB(pids) {
	let total = 0;
	for (const pid of tree(pids)) total += Number(/Pss:\s+(\d+)/.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);
	return total;
}

/** Starts to watch the machine; calling the result gives the share of all processors that was busy since then. */
export function machineBusy() {
	const now = () => {
		const ticks = read("/proc/stat").split("\n")[0].trim().split(/\s+/).slice(1, 9).map(Number);
		const total = ticks.reduce((sum, value) => sum + value, 0);
		return { total, busy: total - ticks[3] - ticks[4] };
	};
	const before = now();
	return () => {
		const after = now();
		const total = after.total - before.total;
		return total < 1 / TICKS_PER_SECOND ? null : (after.busy - before.busy) / total;
	};
}
