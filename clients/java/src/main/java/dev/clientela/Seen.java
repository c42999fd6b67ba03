package dev.clientela;

import java.util.HashMap;
import java.util.Map;

/** The versions that a watch has yielded. It finds the changes that arrive twice. */
final class Seen {
    private static final int GONE_MAX = 10_000;

    private final Map<String, Long> present = new HashMap<>();
    // Only names that were removed lately can arrive again, after a new connection. Older ones are dropped.
    private Map<String, Long> gone = new HashMap<>();
    private Map<String, Long> goneBefore = new HashMap<>();
    private boolean whole;

    /** A snapshot follows: a name that is not known after it never existed. */
    void reset() {
        present.clear();
        gone.clear();
        goneBefore.clear();
        whole = true;
    }

    int remembered() {
        return present.size() + gone.size() + goneBefore.size();
    }

    /** Records a change and returns whether the reader does not know it yet. */
    boolean admit(boolean upserted, String name, long version) {
        Long known = present.get(name);
        Long left = gone.getOrDefault(name, goneBefore.get(name));
        if (upserted) {
            // A resource that leaves a filter because time goes by may enter it again with the same version.
            if (known != null ? version <= known : left != null && version < left) {
                return false;
            }
            present.put(name, version);
            return true;
        }
        if (known != null ? version < known : whole || left != null && version <= left) {
            return false;
        }
        present.remove(name);
        if (gone.size() >= GONE_MAX) {
            goneBefore = gone;
            gone = new HashMap<>();
        }
        gone.put(name, version);
        return true;
    }
}
