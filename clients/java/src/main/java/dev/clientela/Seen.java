package dev.clientela;

import java.util.HashMap;
import java.util.Map;

/** Which versions were told, so that what comes twice is told once. */
final class Seen {
    private static final int GONE_MAX = 10_000;

    private final Map<String, Long> present = new HashMap<>();
    // What is gone may come again only soon after a connection: that of long ago is let go.
    private Map<String, Long> gone = new HashMap<>();
    private Map<String, Long> goneBefore = new HashMap<>();
    private boolean whole;

    /** A whole state follows: what is not known from then on never was. */
    void reset() {
        present.clear();
        gone.clear();
        goneBefore.clear();
        whole = true;
    }

    int remembered() {
        return present.size() + gone.size() + goneBefore.size();
    }

    /** Whether a change is news. */
    boolean admit(boolean upserted, String name, long version) {
        Long known = present.get(name);
        Long left = gone.getOrDefault(name, goneBefore.get(name));
        if (upserted) {
            // The clock lets a resource leave and enter with the version that it has.
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
