// Runs compiled samples one after another: reads [{name, environment}] and writes {name: {ok, out}}. A sample is over
// when it has printed its answer, or its error.

const { join } = require("node:path");

const [log, outcomes] = [console.log, {}];

async function run({ name, environment }) {
  Object.assign(process.env, environment);
  const outcome = new Promise((resolve) => {
    console.log = (...words) => resolve({ ok: true, out: words.map(String).join(" ") });
    console.error = (error) => resolve({ ok: false, out: `${error?.code ?? ""} ${error?.message ?? error}` });
  });
  require(join(process.cwd(), "out", `${name}.js`));
  outcomes[name] = await outcome;
}

(async () => {
  for (const sample of JSON.parse(require("node:fs").readFileSync(0, "utf8"))) await run(sample);
  log(JSON.stringify(outcomes));
  process.exit(0); // the SDK keeps its connections
})();
