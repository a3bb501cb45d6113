// Uploads a file with tus-js-client: node tus-js-client.mjs URL TOKEN FILE WAY
import fs from "node:fs";
import { PassThrough } from "node:stream";

// Another release of it may be asked for.
const tus = await import(process.env.TUS_JS_CLIENT ?? "tus-js-client");
const [url, token, path, way] = process.argv.slice(2);
const MIB = 1024 * 1024;

const common = {
  endpoint: url,
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: `${way}.mp4`, filetype: "video/mp4", start: "2026-11-20T14:03:22+01:00" },
  uploadSize: fs.statSync(path).size,
  retryDelays: null,
};

const ways = {
  whole: {},
  chunked: { chunkSize: MIB },
  "with-creation": { uploadDataDuringCreation: true },
  "with-creation-chunked": { uploadDataDuringCreation: true, chunkSize: MIB },
  overridden: { overridePatchMethod: true },
  // Of a file, it announces the bytes of a whole chunk for the last one, and then has fewer.
  deferred: { uploadLengthDeferred: true, uploadSize: null, chunkSize: MIB, source: () => fs.createReadStream(path).pipe(new PassThrough()) },
  ietf: { protocol: "ietf-draft-05" },
  "ietf-chunked": { protocol: "ietf-draft-05", chunkSize: MIB },
  "ietf-with-creation": { protocol: "ietf-draft-05", uploadDataDuringCreation: true, chunkSize: MIB },
  "ietf-resumed": { protocol: "ietf-draft-05" },
  resumed: {},
  parallel: { parallelUploads: 4, uploadSize: null },
  "parallel-chunked": { parallelUploads: 3, uploadSize: null, chunkSize: MIB },
};

// Resolves when the upload is done; with `cutAfter`, when it was aborted after so many bytes.
function upload(options, cutAfter) {
  return new Promise((resolve, reject) => {
    const { source = () => fs.createReadStream(path), ...others } = options;
    const upload = new tus.Upload(source(), {
      ...common,
      ...others,
      onError: reject,
      onSuccess: () => resolve(upload),
      onProgress: (sent) => {
        if (cutAfter !== undefined && sent >= cutAfter) {
          upload.abort(false).then(() => resolve(upload), reject);
        }
      },
    });
    upload.start();
  });
}

if (way.endsWith("resumed")) {
  const cut = await upload(ways[way], 2 * MIB);
  await upload({ ...ways[way], uploadUrl: cut.url });
} else if (way === "terminated") {
  const cut = await upload({}, 2 * MIB);
  await cut.abort(true);
} else {
  await upload(ways[way]);
}
