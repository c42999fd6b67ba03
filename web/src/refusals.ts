// Explains the refusals of the server in plain words.

import { Code, type ClientelaError } from "clientela/browser";
import { minute, t } from "./text";

/** Explains why the key does not open the page. */
export function keyRefusal({ reason, message }: ClientelaError): string {
  switch (reason) {
    case "KEY_MISSING":
      return t("key_wrong");
    case "KEY_REVOKED":
      return t("key_revoked");
    case "ROLE_NOT_ALLOWED":
      return t("key_not_allowed");
    case "SHOP_REQUIRED":
      return t("key_shop");
    default:
      return t("failed", { message });
  }
}

/** Explains why an action on a cart was refused. The page explains ETAG_MISMATCH: it has the changes. */
export function editRefusal({ reason, code, message, metadata, violations }: ClientelaError): string {
  switch (reason) {
    case "CART_LOCKED":
      return lockedBy(metadata["holder"], metadata["purpose"], metadata["expire_time"]);
    case "CART_FROZEN":
      return t("refused_frozen");
    case "CART_NOT_OPEN":
      return t("refused_not_open");
    case "CART_NOT_LOCKED":
      return t("refused_not_locked");
    case "NOT_FOUND":
      return t("gone");
    case "ROLE_NOT_ALLOWED":
    case "FIELD_NOT_WRITABLE":
      return t("refused_role");
    case "CONFLICT":
      return t("refused_busy");
  }
  if (code === Code.Unavailable || code === Code.DeadlineExceeded) return t("no_answer");
  return t("failed", { message: violations.map(({ description }) => description).join(" ") || message });
}

function lockedBy(holder = "", purpose = "", expireTime = ""): string {
  const expires = Date.parse(expireTime);
  const parts = [
    holder ? t("state_locked", { holder }) : t("state_locked_staff"),
    purpose && t("locked_for", { purpose }),
    expires && t("locked_until", { time: minute(expires) }),
  ];
  return t("refused_locked", { lock: parts.filter(Boolean).join(", ") });
}
