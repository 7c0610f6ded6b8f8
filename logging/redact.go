// SPDX-License-Identifier: Apache-2.0

package logging

import (
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync/atomic"
)

// Redactor replaces secrets by "[REDACTED]". It goes by keys: a key is cut into
// words at punctuation and camel case, letter case is ignored, and an entry of
// the list matches whole words anywhere in it. With the entries password and
// api_key, all of db.password, user_password, password_hash, X-Api-Key and
// apiKey are sensitive; compass is not. A key whose last word tells about the
// secret, such as token_count, password_length or secret_name, is not either.
// Everything in a group under a sensitive key is sensitive. An empty string is
// shown: that a password is empty is no secret, and often the bug.
//
// It also goes by type: see [Secret], and [Redactor.URL] for what becomes of URLs.
//
// A nil Redactor changes nothing. A Redactor is immutable and safe for
// concurrent use. It allocates only where it replaces something, and for URLs.
type Redactor struct {
	denied, deniedInQuery, allowed map[string]bool

	// The verdicts on the first keys met, which in a program are most keys
	// there are: a place taken is never given to another key, so that keys
	// somebody makes up cost a look-up, not memory.
	seed  maphash.Seed
	known [512]atomic.Pointer[judged]
}

type judged struct {
	key     string
	verdict verdict
}

// RedactorOption configures a [Redactor].
type RedactorOption interface{ applyRedactor(*redactorConfig) }

type redactorOptionFunc func(*redactorConfig)

func (f redactorOptionFunc) applyRedactor(c *redactorConfig) { f(c) }

type redactorConfig struct {
	noDefaults      bool
	denied, allowed []string
	errs            []error
}

// WithRedactedKeys adds sensitive words or words in a row, up to three, such
// as "iban" or "customer_number". Separators and letter case do not matter.
// The default list has passwords, tokens, cookies, credentials and the like.
func WithRedactedKeys(keys ...string) RedactorOption {
	return redactorOptionFunc(func(c *redactorConfig) {
		for _, k := range keys {
			if n := wordCount(k); n == 0 || n > maxRun {
				c.errs = append(c.errs, fmt.Errorf("logging: WithRedactedKeys: %q has %d words, want 1 to %d", k, n, maxRun))
			}
		}
		c.denied = append(c.denied, keys...)
	})
}

// WithAllowedKeys names whole keys that are shown although they look
// sensitive, such as "session.id" where that is no credential. The default is
// page_token and next_page_token.
func WithAllowedKeys(keys ...string) RedactorOption {
	return redactorOptionFunc(func(c *redactorConfig) {
		for _, k := range keys {
			if wordCount(k) == 0 {
				c.errs = append(c.errs, fmt.Errorf("logging: WithAllowedKeys: %q has no words", k))
			}
		}
		c.allowed = append(c.allowed, keys...)
	})
}

// WithoutDefaultKeys starts from an empty list instead of the default one.
func WithoutDefaultKeys() RedactorOption {
	return redactorOptionFunc(func(c *redactorConfig) { c.noDefaults = true })
}

// NewRedactor returns a Redactor with the default list of keys, changed by
// opts. It fails for a key without words, or of more than three.
func NewRedactor(opts ...RedactorOption) (*Redactor, error) {
	var c redactorConfig
	for _, o := range opts {
		if o != nil {
			o.applyRedactor(&c)
		}
	}
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	return newRedactor(&c), nil
}

func defaultRedactor() *Redactor { return newRedactor(&redactorConfig{}) }

func newRedactor(c *redactorConfig) *Redactor {
	denied, query, allowed := c.denied, []string(nil), c.allowed
	if !c.noDefaults {
		denied = slices.Concat(defaultKeys, denied)
		query = defaultQueryKeys
		allowed = slices.Concat(defaultAllowed, allowed)
	}
	r := &Redactor{denied: runs(denied), allowed: runs(allowed), seed: maphash.MakeSeed()}
	r.deniedInQuery = maps.Clone(r.denied)
	maps.Copy(r.deniedInQuery, runs(query))
	return r
}

// runs writes each of keys as judge looks it up.
func runs(keys []string) map[string]bool {
	set := make(map[string]bool, len(keys))
	for _, k := range keys {
		set[string(split(words{}, k).text)] = true
	}
	return set
}

func wordCount(key string) int {
	return len(split(words{}, key).starts)
}

// Attr returns a without its secrets: a itself if there are none. LogValuers
// are resolved. Its signature is that of record.WithRedact, so spans show what
// logs show.
func (r *Redactor) Attr(a slog.Attr) slog.Attr {
	if r == nil {
		return a
	}
	c := cleaner{redactor: r}
	b := budget{left: math.MaxInt}
	out, _ := c.attr(a, false, &b)
	return out
}

// Sensitive reports whether a value under key is redacted.
func (r *Redactor) Sensitive(key string) bool {
	return r != nil && r.verdict(key) == sensitive
}

// verdict judges key, from memory if it can.
func (r *Redactor) verdict(key string) verdict {
	place := &r.known[maphash.String(r.seed, key)%uint64(len(r.known))]
	k := place.Load()
	if k != nil && k.key == key {
		return k.verdict
	}
	v := judge(key, r.denied, r.allowed)
	if k == nil && len(key) <= maxKeyBytes {
		place.CompareAndSwap(nil, &judged{key: key, verdict: v})
	}
	return v
}
