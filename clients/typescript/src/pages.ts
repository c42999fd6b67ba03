// Pages: every resource of a List call, whatever the size of its pages.

import type { CallOptions } from "@connectrpc/connect";

interface Page {
  nextPageToken: string;
}

type Fields<P> = Exclude<keyof P, "$typeName" | "$unknown">;

/** The type of the items on a page of a List call. */
export type ItemOf<P> = { [K in Fields<P>]: P[K] extends readonly (infer R)[] ? R : never }[Fields<P>];

/**
 * Yields the resources of a List call, page after page. It fetches a page when the loop has used up the one before.
 * The page size and the first page are those of the request, which it does not change.
 *
 * ```ts
 * for await (const cart of all(client.carts.listCarts, { filter: "state = OPEN" })) console.log(cart.name);
 * ```
 */
export async function* all<Q extends { pageToken?: string }, P extends Page>(
  list: (request: Q, call?: CallOptions) => Promise<P>,
  request: Q,
  call?: CallOptions,
): AsyncGenerator<ItemOf<P>, void, undefined> {
  let asked = request;
  for (;;) {
    const page = await list(asked, call);
    const items = Object.entries(page).find(([name, value]) => name !== "$unknown" && Array.isArray(value));
    yield* (items?.[1] ?? []) as ItemOf<P>[];
    if (page.nextPageToken === "") return;
    asked = { ...request, pageToken: page.nextPageToken };
  }
}
