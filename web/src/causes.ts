// Describes the causes of a change in words.

import { CartCause_Kind as Kind, type Cart, type CartCause, type CartChange } from "clientela/browser";
import { t } from "./text";
import { milliseconds } from "./time";

/** One event in a compact form, because thousands of them are kept. */
export interface Happening {
  version: bigint;
  kind: Kind;
  time: number;
  product: string;
  before: number;
  after: number;
  actor: string;
}

/** Returns the events of a change, in their order. */
export function happenings(change: CartChange): Happening[] {
  const commit = milliseconds(change.commitTime);
  return change.causes.map((cause) => ({
    version: change.version,
    kind: cause.kind,
    time: milliseconds(cause.time) || commit,
    product: cause.product && productName(cause, change.cart),
    before: cause.quantityBefore,
    after: cause.quantityAfter,
    actor: cause.actor,
  }));
}

/** The display name of the product: from the line, or from the cause if the line was removed. */
function productName(cause: CartCause, cart?: Cart): string {
  const item = cart?.items.find((item) => item.name === cause.item) ?? cause;
  return item.displayName || cause.product;
}

/** The event that a row shows: an addition says more than the opening of the cart. */
export function foremost(happenings: Happening[]): Happening | undefined {
  return (
    happenings.findLast((happening) => happening.kind !== Kind.CREATED) ?? happenings.at(-1)
  );
}

export function inWords(happening: Happening): string {
  const { before, after, product } = happening;
  switch (happening.kind) {
    case Kind.CREATED:
      return t("cause_created");
    case Kind.ITEM_ADDED:
      return before > 0
        ? t("cause_added_more", { n: after - before, product, after })
        : t("cause_added", { n: after, product });
    case Kind.ITEM_QUANTITY_CHANGED:
      return t("cause_quantity", { product, before, after });
    case Kind.ITEM_REMOVED:
      return t("cause_removed", { product });
    case Kind.ITEM_PRICE_CHANGED:
      return t("cause_price", { product });
    case Kind.CLEARED:
      return t("cause_cleared");
    case Kind.UPDATED:
      return t("cause_updated");
    case Kind.ASSIGNED:
    case Kind.REASSIGNED:
      return t("cause_assigned");
    case Kind.ORDERED:
      return t("cause_ordered");
    case Kind.REOPENED:
      return t("cause_reopened");
    case Kind.DELETED:
      return t("cause_deleted");
    case Kind.REPRICED:
      return t("cause_repriced");
    case Kind.CUSTOMER_CHANGED:
      return t("cause_customer");
    case Kind.EXPIRED:
      return t("cause_expired");
    case Kind.FROZEN:
      return t("cause_frozen");
    case Kind.UNFROZEN:
      return t("cause_unfrozen");
    case Kind.LOCKED:
      return t("cause_locked");
    case Kind.UNLOCKED:
      return t("cause_unlocked");
    case Kind.LOCK_EXPIRED:
      return t("cause_lock_expired");
    case Kind.MERGED:
      return t("cause_merged");
    case Kind.MERGED_FROM:
      return t("cause_merged_from");
    case Kind.ITEM_MOVED:
      return after > before ? t("cause_moved_in", { product }) : t("cause_moved_out", { product });
    case Kind.ABANDONED:
      return t("cause_abandoned");
    case Kind.RECOVERED:
      return t("cause_recovered");
    default:
      return t("cause_unknown");
  }
}
