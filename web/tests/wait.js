// Waiting for conditions, never for time.

/** How long anything may take to come about, in milliseconds; nothing should need it. */
const PATIENCE = 60_000;

/** Waits until a condition gives something. */
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
