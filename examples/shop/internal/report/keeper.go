// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"errors"
	"sync"
)

// Keeper is a source that does not forget the traces it was told to keep. Make
// it with [NewKeeper]. It is safe for concurrent use.
type Keeper struct {
	source Source

	mu   sync.Mutex
	kept map[string]*Trace // by role
}

var _ Source = (*Keeper)(nil)

// NewKeeper returns a keeper of what source knows.
func NewKeeper(source Source) *Keeper {
	return &Keeper{source: source, kept: make(map[string]*Trace)}
}

// Keep keeps the trace in a role, such as "slow", in place of the one that had
// it. It may be called again while the trace still grows. What the source does
// not know is not kept.
func (k *Keeper) Keep(ctx context.Context, role, id string) {
	if id == "" {
		return
	}
	t, err := k.source.Trace(ctx, id)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.kept[role] = t
	}
}

// Kept returns the trace in a role, or nil.
func (k *Keeper) Kept(role string) *Trace {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.kept[role]
}

// Trace implements [Source]. The id may be a role.
func (k *Keeper) Trace(ctx context.Context, id string) (*Trace, error) {
	if t := k.Kept(id); t != nil {
		return t, nil
	}
	t, err := k.source.Trace(ctx, id)
	if !errors.Is(err, ErrUnknownTrace) {
		return t, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, kept := range k.kept {
		if kept.ID == id {
			return kept, nil
		}
	}
	return nil, err
}
