// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/fairlead-go/fairlead/discovery"
)

// ReadEntry returns the instance that an entry below a prefix is.
func ReadEntry(prefix string, key, value []byte) (discovery.Instance, error) {
	return keyspace{prefix}.read(&mvccpb.KeyValue{Key: key, Value: value})
}

// KeyOf returns the key of an instance.
func KeyOf(prefix string, k discovery.Key) string { return keyspace{prefix}.key(k) }

// Watched reports whether a watch of a query is told of a key.
func Watched(prefix string, q discovery.Query, key string) bool {
	from := keyspace{prefix}.query(q)
	return from <= key && key < string(rangeEnd(from))
}
