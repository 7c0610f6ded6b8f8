// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/fairlead-go/fairlead/discovery"
)

// Entries implements [discovery.Sweeper]: all that stands below the namespace, in the
// order of keys. What has no lease never expires; what has one is gone when it is over, so
// that no entry is expired.
func (b *Backend) Entries(ctx context.Context, ns discovery.Namespace) ([]discovery.Entry, error) {
	if err := ns.Validate(); err != nil {
		return nil, err
	}
	kvs, _, err := b.list(ctx, b.keys.namespace(ns))
	if err != nil {
		return nil, err
	}
	entries := make([]discovery.Entry, len(kvs))
	for i, kv := range kvs {
		entries[i] = b.entry(ns, kv)
	}
	return entries, nil
}

func (b *Backend) entry(ns discovery.Namespace, kv *mvccpb.KeyValue) discovery.Entry {
	e := discovery.Entry{
		Namespace: ns, Key: string(kv.Key), Ours: discovery.IsPayload(kv.Value),
		Expires: kv.Lease != 0, Revision: uint64(kv.ModRevision),
	}
	service, _, _ := strings.Cut(strings.TrimPrefix(e.Key, b.keys.namespace(ns)), "/")
	if (discovery.Query{Namespace: ns, Service: service}).Validate() == nil {
		e.Service = service
	}
	in, err := b.keys.read(kv)
	if err != nil {
		e.Err = err
		return e
	}
	e.Instance = &in
	return e
}

// Remove implements [discovery.Sweeper]. The comparison and the removal are one step.
func (b *Backend) Remove(ctx context.Context, e discovery.Entry) error {
	if err := e.Namespace.Validate(); err != nil {
		return err
	}
	switch {
	case !e.Ours:
		return fmt.Errorf("etcd: %s is not ours: it stays", e.Key)
	case !strings.HasPrefix(e.Key, b.keys.namespace(e.Namespace)):
		return fmt.Errorf("etcd: %s is not in %q: it stays", e.Key, b.keys.namespace(e.Namespace))
	case e.Revision == 0:
		return errors.New("etcd: " + e.Key + " has no revision: it was not listed")
	}
	same, err := b.unchanged(ctx, e.Key, int64(e.Revision), deleteOp(e.Key))
	if err != nil || same {
		return err
	}
	kv, err := b.get(ctx, e.Key)
	if err != nil || kv == nil {
		return err
	}
	return fmt.Errorf("etcd: %s: %w", e.Key, discovery.ErrChanged)
}
