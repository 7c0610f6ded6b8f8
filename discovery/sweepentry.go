// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"context"
	"encoding/json"
	"errors"
)

// ErrChanged is what [Sweeper.Remove] says of an entry that is not what was listed any
// more. It is left alone.
var ErrChanged = errors.New("discovery: changed since it was listed")

// Sweeper is a back end whose key space can be looked through. Back ends that can
// implement it on the value that is the [Backend], so that it is found by assertion. A
// [Sweep] uses it. Implementations are safe for concurrent use.
type Sweeper interface {
	// Entries lists all that stands where the entries of a namespace stand, whoever
	// wrote it: what makes no valid instance, too, and what callers are not shown any
	// more. It lists nothing of another namespace: "prod" is not "prod2". An
	// incomplete answer is an error.
	Entries(ctx context.Context, ns Namespace) ([]Entry, error)
	// Remove removes an entry that Entries listed, if it is still as it was: the
	// comparison and the removal are one step of the registry if it has such a step,
	// and otherwise as near to each other as can be. The error is [ErrChanged] if it
	// is another by now, and there is none if it has gone. It refuses an entry that is
	// not Ours, or whose key is not in its namespace.
	Remove(ctx context.Context, e Entry) error
}

// Entry is what stands at one place in a registry.
type Entry struct {
	// Namespace is the one whose entries were listed.
	Namespace Namespace
	// Key is where it stands, in the registry's own terms. It is unique in an answer.
	Key string
	// Service is that of the key, or of the instance if the key does not name one;
	// empty if there is no telling.
	Service string
	// Instance is what is registered there. It is nil if that cannot be read, or is not
	// where it belongs: its namespace, service or id is not that of the key.
	Instance *Instance
	// Err is why there is no instance.
	Err error
	// Ours says that it was written by this library, by a mark that nobody else leaves
	// by accident and in a version that this build knows. What is not ours is never
	// removed.
	Ours bool
	// Expires says that it goes away if nobody keeps it up: it has a time to live, a
	// lease that exists, a check with a time limit. An entry that does not is there for
	// ever.
	Expires bool
	// Expired says that its time to live is over, or that what kept it up has gone, and
	// the registry lists it all the same. An instance that reports that it is failing is
	// not expired: somebody reports it.
	Expired bool
	// Revision changes whenever the entry is written. A heartbeat may change it, and
	// need not.
	Revision uint64
}

// IsPayload reports whether text is marked as [EncodeInstance] of this build marks what
// it writes, valid or not. It is what makes an entry Ours where a registry stores text.
func IsPayload(text []byte) bool {
	if len(text) > maxPayload {
		return false
	}
	var p struct {
		V         int     `json:"v"`
		Namespace *string `json:"namespace"`
		Service   *string `json:"service"`
		ID        *string `json:"id"`
		Address   *string `json:"address"`
	}
	return json.Unmarshal(text, &p) == nil && p.V == payloadVersion &&
		p.Namespace != nil && p.Service != nil && p.ID != nil && p.Address != nil
}
