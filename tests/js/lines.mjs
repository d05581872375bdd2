// One question per line, one answer per line, both JSON.
import { createInterface } from 'node:readline';

export async function answerLines(answer) {
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      console.log(JSON.stringify({ answer: (await answer(JSON.parse(line))) ?? null }));
    } catch (error) {
      console.log(JSON.stringify({ threw: String(error) }));
    }
  }
}
