// What the page remembers. The key, and what was seen with it, only as long as the tab lives
// (sessionStorage) and always together: another key begins with nothing. How the page looks, for longer.

const SESSION = "clientela.session";
const LOOKS = "clientela.looks";

/** A point of the chart: when, and how many carts were being filled and changed. */
export interface Sample {
  time: number;
  filling: number;
  changes: number;
}

interface Session {
  key: string;
  samples: Sample[];
}

export interface Looks {
  theme: "auto" | "light" | "dark";
  language: string;
}

/** What an API key is made of. Anything else would not even become a header. */
export function isKey(text: string): boolean {
  return /^[\x21-\x7e]{1,512}$/.test(text);
}

let session = readSession();

/** The key that the tab is signed in with. */
export function key(): string {
  return session?.key ?? "";
}

/** Remembers a key; what belonged to another is forgotten. */
export function signIn(key: string): void {
  if (session?.key !== key) session = { key, samples: [] };
  write(sessionStorage, SESSION, session);
}

/** Forgets the key and all that was seen with it. */
export function signOut(): void {
  session = null;
  try {
    sessionStorage.removeItem(SESSION);
  } catch {
    // A browser that keeps nothing has nothing to forget.
  }
}

export function samples(): Sample[] {
  return session?.samples ?? [];
}

export function keepSamples(samples: Sample[]): void {
  if (!session) return;
  session.samples = samples;
  write(sessionStorage, SESSION, session);
}

export const looks: Looks = readLooks();

export function keepLooks(): void {
  write(localStorage, LOOKS, looks);
}

function readSession(): Session | null {
  const stored = read(() => sessionStorage, SESSION);
  if (typeof stored?.["key"] !== "string" || !isKey(stored["key"])) return null;
  const samples = Array.isArray(stored["samples"]) ? stored["samples"].filter(isSample) : [];
  return { key: stored["key"], samples };
}

function isSample(value: unknown): value is Sample {
  const sample = value as Sample | null;
  return [sample?.time, sample?.filling, sample?.changes].every(Number.isFinite);
}

function readLooks(): Looks {
  const stored = read(() => localStorage, LOOKS);
  const theme = stored?.["theme"];
  return {
    theme: theme === "light" || theme === "dark" ? theme : "auto",
    language: typeof stored?.["language"] === "string" ? stored["language"] : "",
  };
}

/** What is stored, if it can be read: people and other programs may have written there. */
function read(storage: () => Storage, name: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(storage().getItem(name) ?? "null");
    return typeof value === "object" ? (value as Record<string, unknown> | null) : null;
  } catch {
    return null;
  }
}

function write(storage: Storage, name: string, value: unknown): void {
  try {
    storage.setItem(name, JSON.stringify(value));
  } catch {
    // A full or forbidden storage only means that a reload asks again.
  }
}
