// Waits for conditions, never for a fixed time.

/** Deadline of every wait, in milliseconds; no wait should need it. */
const PATIENCE = 60_000;

/** Waits until a condition returns a value. */
export async function eventually(what, condition, patience = PATIENCE) {
  const deadline = Date.now() + patience;
  let failure;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
      failure = undefined;
    } catch (error) {
      failure = error;
    }
    if (Date.now() > deadline) {
      throw new Error(`not within ${patience / 1000} s: ${what}`, { cause: failure });
    }
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
}
