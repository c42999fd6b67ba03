package dev.clientela;

import dev.clientela.v1.SnapshotBegin;

/** What a watch tells. */
public sealed interface Event<C> {
    /** A resource is there, has changed, is gone, or has left the filter: see its kind. */
    record Changed<C>(C change) implements Event<C> {}

    /** Forget what you know: all that is there follows. Also the first event. */
    record Reset<C>(SnapshotBegin.Cause cause) implements Event<C> {}

    /** Now you know all that is there. */
    record Ready<C>(long count) implements Event<C> {}
}
