// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fairlead-go/fairlead/discovery"
)

// keyspace is where keys are: prefix/namespace/service/id.
type keyspace struct{ prefix string }

func (s keyspace) key(k discovery.Key) string { return s.prefix + "/" + k.String() }

// query returns what the keys of a query begin with. The slash at its end keeps "prod"
// from finding "prod2".
func (s keyspace) query(q discovery.Query) string { return s.prefix + "/" + q.String() + "/" }

func (s keyspace) namespace(ns discovery.Namespace) string { return s.prefix + "/" + string(ns) + "/" }

// parse is the inverse of key, and takes nothing else.
func (s keyspace) parse(key string) (discovery.Key, error) {
	rest, ok := strings.CutPrefix(key, s.prefix+"/")
	if !ok {
		return discovery.Key{}, fmt.Errorf("etcd: key %q: must begin with %q", key, s.prefix+"/")
	}
	return discovery.ParseKey(rest)
}

// read returns the instance that an entry is. One that says that it belongs elsewhere is
// none.
func (s keyspace) read(kv *mvccpb.KeyValue) (discovery.Instance, error) {
	key, err := s.parse(string(kv.Key))
	if err != nil {
		return discovery.Instance{}, err
	}
	in, err := discovery.DecodeInstance(kv.Value)
	if err != nil {
		return discovery.Instance{}, err
	}
	switch found := in.Key(); {
	case found.Namespace != key.Namespace:
		return discovery.Instance{}, fmt.Errorf("etcd: key %q has the instance %s: %w", kv.Key, found, discovery.ErrForeignNamespace)
	case found != key:
		return discovery.Instance{}, fmt.Errorf("etcd: key %q has the instance %s", kv.Key, found)
	}
	return in, nil
}

// rangeEnd returns the key behind all that begin with prefix.
func rangeEnd(prefix string) []byte { return []byte(clientv3.GetPrefixRangeEnd(prefix)) }

// printable returns a key for people: there may be anything in one.
func printable(key []byte) string { return strings.ToValidUTF8(string(key), "\uFFFD") }

const (
	maxPrefix = 255
	wordRule  = `etcd: prefix %q: must be 1 to %d letters, digits and "._-" with single "/" between words, and no word of dots alone`
)

func checkPrefix(prefix string) error {
	if len(prefix) > maxPrefix {
		return fmt.Errorf(wordRule, prefix[:20]+"…", maxPrefix)
	}
	for word := range strings.SplitSeq(prefix, "/") {
		odd := strings.ContainsFunc(word, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
		})
		if odd || strings.Trim(word, ".") == "" {
			return fmt.Errorf(wordRule, prefix, maxPrefix)
		}
	}
	return nil
}
