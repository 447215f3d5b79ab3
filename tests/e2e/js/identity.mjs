// What the official client sees of identity, in one encoding. Prints one line per behaviour.
import { createClient } from "../../../tools/client.mjs";
import { args, failure, print } from "./common.mjs";

const { encoding, tokens } = args;
const settings = { endpoint: args.url, encoding, devtools: false };
const client = createClient(settings);
const key = (user, name) => [user, args.run, encoding, name];
const counter = (user, name, token) => client.counter.getOrCreate(key(user, name), token === undefined ? {} : { params: { token } });

// What a connection says to its first action.
async function connected(handle) {
	const connection = handle.connect();
	try {
		return await connection.increment(1);
	} finally {
		await connection.dispose();
	}
}

const behaviours = {
	own_actor: () => counter("ada", "own", tokens.ada).increment(2),
	own_actor_on_a_connection: () => connected(counter("ada", "connection", tokens.ada)),
	another_users_key_is_refused: () => counter("bob", "other", tokens.ada).increment(1),
	another_users_key_is_refused_on_a_connection: () => connected(counter("bob", "other", tokens.ada)),
	a_key_without_a_user_is_refused: () => client.counter.getOrCreate([], { params: { token: tokens.ada } }).increment(1),
	no_token_is_refused: () => counter("ada", "own").increment(1),
	no_token_is_refused_on_a_connection: () => connected(counter("ada", "own")),
	an_expired_token_is_refused: () => counter("ada", "own", tokens.expired).increment(1),
	an_expired_token_is_refused_on_a_connection: () => connected(counter("ada", "own", tokens.expired)),
	a_token_of_somebody_elses_key_is_refused: () => counter("ada", "own", tokens.forged).increment(1),
	// The client makes parameters for connections only; its actions over HTTP take `params`.
	async parameters_that_are_made_for_each_connection() {
		const handle = client.counter.getOrCreate(key("ada", "made"), { getParams: async () => ({ token: tokens.ada }) });
		return [await connected(handle), await connected(handle)];
	},
	async an_id_of_another_user_is_not_found() {
		const id = await createClient({ ...settings, token: tokens.ada }).counter.getOrCreate(key("ada", "id")).resolve();
		const handle = client.counter.getForId(id, { params: { token: tokens.bob } });
		return await handle.increment(1);
	},
	async a_client_with_a_token_makes_finds_and_lists_own_actors() {
		const mine = createClient({ ...settings, token: tokens.ada });
		const made = await mine.counter.create(key("ada", "made by rest"));
		const found = await mine.counter.get(key("ada", "made by rest")).resolve();
		const list = async (token) => {
			const response = await fetch(`${args.url}/actors?namespace=default&name=counter`, { headers: { authorization: `Bearer ${token}` } });
			return (await response.json()).actors;
		};
		const own = await list(tokens.ada);
		return [(await made.resolve()) === found, own.some((actor) => actor.actor_id === found), own.every((actor) => actor.key.startsWith("ada/")), (await list(tokens.bob)).length];
	},
	async a_client_with_a_token_can_not_make_an_actor_of_another_user() {
		return await createClient({ ...settings, token: tokens.ada }).counter.create(key("bob", "made by rest"));
	},
};

for (const [behaviour, run] of Object.entries(behaviours)) {
	print({ behaviour, result: await run().catch(failure) });
}
await client.dispose();
process.exit(0);
