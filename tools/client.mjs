// The official client, for scripts outside this folder: packages are looked up from the file that imports them.
export * from "rivetkit/client";
