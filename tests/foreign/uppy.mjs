// Uploads a file with Uppy's tus plugin: node uppy.mjs URL TOKEN FILE WAY
import fs from "node:fs";
import Uppy from "@uppy/core";
import Tus from "@uppy/tus";

const [url, token, path, way] = process.argv.slice(2);
const MIB = 1024 * 1024;

const ways = { whole: {}, chunked: { chunkSize: MIB }, parallel: { parallelUploads: 3 } };

const uppy = new Uppy();
uppy.use(Tus, { endpoint: url, headers: { Authorization: `Bearer ${token}` }, retryDelays: null, ...ways[way] });
// In Node, the tus client below takes a buffer in place of a browser's file.
const data = fs.readFileSync(path);
Object.defineProperty(data, "size", { value: data.length });
uppy.addFile({
  name: `${way}.mp4`,
  type: "video/mp4",
  data,
  meta: { filename: `${way}.mp4`, start: "2026-11-20T14:03:22+01:00" },
});
const { failed } = await uppy.upload();
if (failed.length > 0) {
  throw failed[0].error;
}
