// The peer's counter: a Durable Object with SQLite storage. /p/NAME has plain sockets, /h/NAME sockets that outlive the object.
import { DurableObject } from "cloudflare:workers";

export class Counter extends DurableObject {
	#operations = 0;
	#sockets = new Set();

	constructor(state, env) {
		super(state, env);
		state.storage.sql.exec("CREATE TABLE IF NOT EXISTS counts (id INTEGER PRIMARY KEY, value INTEGER NOT NULL)");
		this.value = [...state.storage.sql.exec("SELECT value FROM counts WHERE id = 1")][0]?.value ?? 0;
	}

	answer({ id, op, v }) {
		return JSON.stringify({ id, r: this[`op_${op}`](v) });
	}

	op_increment(by) {
		this.#operations += 1;
		this.value += by;
		const statement = "INSERT INTO counts VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET value = excluded.value";
		this.ctx.storage.sql.exec(statement, this.value);
		return this.value;
	}

	op_get() {
		return this.value;
	}

	op_info() {
		return { n: this.value, mem: this.#operations };
	}

	op_broadcast(payload) {
		const all = [...this.ctx.getWebSockets(), ...this.#sockets];
		for (const socket of all) socket.send(JSON.stringify({ ev: payload }));
		return all.length;
	}

	async fetch(request) {
		if (request.headers.get("upgrade") !== "websocket") {
			return new Response(this.answer(await request.json()), { headers: { "content-type": "application/json" } });
		}
		const { 0: client, 1: socket } = new WebSocketPair();
		if (new URL(request.url).pathname.startsWith("/h/")) {
			this.ctx.acceptWebSocket(socket);
		} else {
			socket.accept();
			this.#sockets.add(socket);
			socket.addEventListener("message", ({ data }) => this.webSocketMessage(socket, data));
			for (const end of ["close", "error"]) socket.addEventListener(end, () => this.#sockets.delete(socket));
		}
		return new Response(null, { status: 101, webSocket: client });
	}

	webSocketMessage(socket, data) {
		socket.send(this.answer(JSON.parse(data)));
	}

	webSocketClose(socket) {
		socket.close();
	}
}

export default {
	fetch(request, { COUNTER }) {
		const name = new URL(request.url).pathname.split("/")[2];
		return COUNTER.get(COUNTER.idFromName(name)).fetch(request);
	},
};
