// The stored data of the page. The key and the data that was seen with it are kept for the life of the tab
// (sessionStorage), and removed together. Theme and language are kept for longer.

const SESSION = "clientela.session";
const LOOKS = "clientela.looks";

/** A point of the chart: its time, the carts being filled, and the changes. */
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

/** The characters of an API key. Others could not be sent in a header. */
export function isKey(text: string): boolean {
  return /^[\x21-\x7e]{1,512}$/.test(text);
}

let session = readSession();

/** The key that the tab is signed in with. */
export function key(): string {
  return session?.key ?? "";
}

/** Stores a key and removes the data of another key. */
export function signIn(key: string): void {
  if (session?.key !== key) session = { key, samples: [] };
  write(sessionStorage, SESSION, session);
}

/** Removes the key and all data that was seen with it. */
export function signOut(): void {
  session = null;
  try {
    sessionStorage.removeItem(SESSION);
  } catch {
    // A browser without storage has nothing to remove.
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

/** Returns a stored value if it is valid, because people and other programs may have changed it. */
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
    // If the storage is full or forbidden, a reload asks for the key again.
  }
}
