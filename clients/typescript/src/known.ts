// Known: the changes that a watch has yielded.

import { ChangeKind } from "./gen/clientela/v1/common_pb.js";

/** How many removed names a watch remembers, so that no older version of them follows. */
const GONE_MAX = 10_000;

/** A change of any resource. */
export interface AnyChange {
  kind: ChangeKind;
  name: string;
  version: bigint;
}

/** The versions that a watch has yielded. It finds the changes that arrive twice. */
export class Known {
  private readonly present = new Map<string, bigint>();
  private readonly gone = new Map<string, bigint>();

  /** @param whole whether a snapshot came first, so that a name which is not known never existed. */
  constructor(private whole: boolean) {}

  clear(): void {
    this.whole = true;
    this.present.clear();
    this.gone.clear();
  }

  /** Records a change and returns whether the reader does not know it yet. */
  admits({ kind, name, version }: AnyChange): boolean {
    const here = kind === ChangeKind.UPSERTED;
    const shown = this.present.get(name);
    const last = shown ?? this.gone.get(name);
    // A resource that leaves a filter because time goes by may enter it again with the same version.
    if (last !== undefined && (version < last || (version === last && here === (shown !== undefined)))) return false;
    if (here) {
      this.gone.delete(name);
      this.present.set(name, version);
      return true;
    }
    this.present.delete(name);
    this.gone.delete(name);
    this.gone.set(name, version);
    for (const oldest of this.gone.keys()) {
      if (this.gone.size <= GONE_MAX) break;
      this.gone.delete(oldest);
    }
    return shown !== undefined || (last === undefined && !this.whole);
  }
}
