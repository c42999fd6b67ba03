package dev.clientela;

import dev.clientela.v1.SnapshotBegin;

/**
 * An event of a watch.
 *
 * @param <C> the type of the changes
 */
public sealed interface Event<C> {
    /** A resource is new, has changed, was deleted, or has left the filter: see its kind. */
    record Changed<C>(C change) implements Event<C> {}

    /** Discard all resources: a snapshot follows. Every watch without a resume token begins with it. */
    record Reset<C>(SnapshotBegin.Cause cause) implements Event<C> {}

    /** The snapshot is complete: the reader now has {@code count} resources. */
    record Ready<C>(long count) implements Event<C> {}
}
