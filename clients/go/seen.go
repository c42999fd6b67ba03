package clientela

import pb "clientela.dev/clientela/v1"

// goneMax is how many removed names a watch remembers, so that no older version of them follows.
const goneMax = 10_000

// seen holds the version of each resource that a watch has yielded. It finds the changes that arrive twice.
type seen struct {
	// Whether the watch began with a whole snapshot, so that a name which is not known never existed.
	whole    bool
	versions map[string]int64
	gone     map[string]int64
	// The names in gone, oldest first. Some may have come back, or gone again.
	order []string
}

func (s *seen) forget() {
	s.versions, s.gone, s.order = map[string]int64{}, map[string]int64{}, nil
}

// isNews records a change and reports whether the reader does not know it yet.
func (s *seen) isNews(kind pb.ChangeKind, name string, version int64) bool {
	known, isKnown := s.versions[name]
	gone, isGone := s.gone[name]
	if isKnown && known > version || isGone && gone > version {
		return false
	}
	if kind == pb.ChangeKind_CHANGE_KIND_UPSERTED {
		// A resource that leaves a filter because time goes by may enter it again with the same version.
		delete(s.gone, name)
		s.versions[name] = version
		return !isKnown || known < version
	}
	delete(s.versions, name)
	s.gone[name] = version
	s.order = append(s.order, name)
	if len(s.order) > goneMax {
		delete(s.gone, s.order[0])
		s.order = s.order[1:]
	}
	return isKnown || (!s.whole && kind == pb.ChangeKind_CHANGE_KIND_DELETED && (!isGone || gone < version))
}
