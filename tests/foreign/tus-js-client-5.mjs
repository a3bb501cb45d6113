// The same with the coming release: node tus-js-client-5.mjs URL TOKEN FILE WAY
process.env.TUS_JS_CLIENT = "tus-js-client-5";
await import("./tus-js-client.mjs");
