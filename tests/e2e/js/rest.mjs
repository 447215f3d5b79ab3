// A user with the official client: says something, hears the answer, and prints which thread it was.
import { args, connectTo, failure, print, until } from "./common.mjs";

const client = connectTo("json");
const agent = client.growAgent.getOrCreate([args.user], { params: { token: args.token } });

const refused = await client.growAgent
	.getOrCreate([args.other], { params: { token: args.token } })
	.threads()
	.then(() => "let in", failure);
const connection = agent.connect();
const heard = [];
for (const name of ["message.completed", "message.failed"]) connection.on(name, (message) => heard.push([name, message.text]));
const { thread, message } = await connection.chat({ text: args.text, clientMessageId: "first" });
await until("the answer", () => heard.length === 2);
await connection.dispose();
print({ said: { thread, message, heard, refused } });
process.exit(0);
