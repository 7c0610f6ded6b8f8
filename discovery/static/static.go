// SPDX-License-Identifier: Apache-2.0

package static

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/fairlead-go/fairlead/discovery"
)

// Catalog is instances that were written down. Use [New] or [Parse]. It is safe for
// concurrent use, and needs no closing.
type Catalog struct {
	mu       sync.Mutex
	services map[discovery.Query]*listing
}

// listing is what there is of a query. It is replaced as a whole.
type listing struct {
	instances []discovery.Instance
	replaced  chan struct{} // closed when there is another
}

var _ discovery.Catalog = (*Catalog)(nil)

// New returns a catalog of these instances. It fails on those that are invalid, and on
// two with the same id.
func New(instances ...discovery.Instance) (*Catalog, error) {
	c := &Catalog{services: map[discovery.Query]*listing{}}
	byQuery := map[discovery.Query][]discovery.Instance{}
	for _, in := range instances {
		q := in.Key().Query()
		byQuery[q] = append(byQuery[q], in)
	}
	var errs []error
	for q, all := range byQuery {
		errs = append(errs, c.Set(q, all...))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

// Parse returns a catalog from text such as "order=10.0.0.1:80,10.0.0.2:80;payment=pay:443":
// services with ";" or line feeds between them, each with its addresses. Spaces do not
// matter. The error names each part that is wrong.
func Parse(namespace discovery.Namespace, text string) (*Catalog, error) {
	var all []discovery.Instance
	seen := map[string]bool{}
	errs := []error{namespace.Validate()}
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ';' || r == '\n' }) {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		service, addresses, ok := strings.Cut(part, "=")
		service = strings.TrimSpace(service)
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("static: %q: must be service=address,address", part))
			continue
		case seen[service]:
			errs = append(errs, fmt.Errorf("static: service %q: must not be there twice", service))
			continue
		}
		seen[service] = true
		for address := range strings.SplitSeq(addresses, ",") {
			in, err := discovery.Instance{Namespace: namespace, Service: service, Address: strings.TrimSpace(address)}.Normalized()
			if err != nil {
				errs = append(errs, fmt.Errorf("static: %q: %w", part, err))
				continue
			}
			all = append(all, in)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return New(all...)
}

// Set makes instances all that there is of a query, and tells those who watch it. It
// fails, and changes nothing, if one is invalid, of another query, or there twice.
func (c *Catalog) Set(q discovery.Query, instances ...discovery.Instance) error {
	if err := q.Validate(); err != nil {
		return err
	}
	var errs []error
	all := make([]discovery.Instance, 0, len(instances))
	ids := map[string]bool{}
	for _, in := range instances {
		n, err := in.Normalized()
		switch {
		case err != nil:
		case !q.Owns(&n):
			err = fmt.Errorf("static: %w: %s is not of %s", discovery.ErrForeignNamespace, n.Key(), q)
		case ids[n.ID]:
			err = fmt.Errorf("static: %s: %w", n.Key(), discovery.ErrDuplicateID)
		}
		errs = append(errs, err)
		ids[n.ID] = true
		all = append(all, n)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b discovery.Instance) int { return strings.Compare(a.ID, b.ID) })
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.get(q)
	if slices.EqualFunc(old.instances, all, func(a, b discovery.Instance) bool { return a.Equal(&b) }) {
		return nil
	}
	c.services[q] = &listing{all, make(chan struct{})}
	close(old.replaced)
	return nil
}

// get returns what there is of a query. It requires mu.
func (c *Catalog) get(q discovery.Query) *listing {
	l := c.services[q]
	if l == nil {
		l = &listing{replaced: make(chan struct{})}
		c.services[q] = l
	}
	return l
}

// Watch implements [discovery.Catalog].
func (c *Catalog) Watch(_ context.Context, q discovery.Query) (discovery.Source, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	return &source{catalog: c, q: q, closed: make(chan struct{})}, nil
}

// source returns listings, as a whole.
type source struct {
	catalog *Catalog
	q       discovery.Query
	sent    *listing
	closed  chan struct{}
	once    sync.Once
}

// Next implements [discovery.Source].
func (s *source) Next(ctx context.Context) (discovery.Update, error) {
	for {
		select {
		case <-s.closed:
			return discovery.Update{}, fmt.Errorf("static: watch %s: %w", s.q, discovery.ErrClosed)
		default:
		}
		if err := ctx.Err(); err != nil {
			return discovery.Update{}, err
		}
		s.catalog.mu.Lock()
		l := s.catalog.get(s.q)
		s.catalog.mu.Unlock()
		if l != s.sent {
			s.sent = l
			return discovery.Update{Full: true, Put: slices.Clone(l.instances)}, nil
		}
		select {
		case <-l.replaced:
		case <-s.closed:
		case <-ctx.Done():
		}
	}
}

// Close implements [discovery.Source].
func (s *source) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// All returns what there is, by query, in the order of ids.
func (c *Catalog) All() map[discovery.Query][]discovery.Instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[discovery.Query][]discovery.Instance{}
	for q, l := range c.services {
		if len(l.instances) > 0 {
			all[q] = slices.Clone(l.instances)
		}
	}
	return all
}
