// Runs the explorer's own modules: reads a JSON command a line, writes its answer as a JSON line.

import { createInterface } from "node:readline";

const folder = `file://${process.env.MODULES}/`;
const { signRequest } = await import(`${folder}signing.js`);
const { inspect } = await import(`${folder}comparing.js`);
const { call } = await import(`${folder}calling.js`);
const { faultsOf, layOut, readValue, writeValue } = await import(`${folder}requests.js`);
const { LANGUAGES, writeSample } = await import(`${folder}samples/samples.js`);

const languageOf = (id) => LANGUAGES.find((language) => language.id === id);

const doers = {
  sign: (request) => signRequest(request),
  inspect: ({ text, ...more }) => inspect(text, more),
  layOut: ({ operation, values }) => layOut(operation, values),
  faults: ({ operation, values }) => faultsOf(operation, values),
  reread: ({ member, value }) => readValue(member, writeValue(member, value)),
  languages: () => LANGUAGES.map(({ id }) => id),
  sample: ({ language, sample }) => writeSample(languageOf(language), sample),
  call: async ({ operation, values, ...more }) => {
    const { status, body, isJson } = await call(operation, values, more);
    return { status, body, isJson };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...given } = JSON.parse(line);
  let answer;
  try {
    answer = { answer: await doers[name](given) };
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0); // fetch keeps its connections
