// SPDX-License-Identifier: Apache-2.0

package discovery_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/fairlead-go/fairlead/discovery"
)

// TestSetIsLikeAMap applies random changes to a set and to a map, and compares the
// two, each set with its predecessors, and predecessors with what they were.
func TestSetIsLikeAMap(t *testing.T) {
	for seed := range uint64(4) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		set, model := discovery.NewSet(), map[string]discovery.Instance{}
		type step struct {
			set   *discovery.Set
			model map[string]discovery.Instance
		}
		var steps []step
		for range 30 {
			steps = append(steps, step{set, maps.Clone(model)})
			var put []discovery.Instance
			var remove []string
			for range rnd.IntN(1 + rnd.IntN(300)) {
				in := order(rnd.IntN(1500))
				in.Weight = 1 + rnd.IntN(2)
				put = append(put, in)
			}
			for range rnd.IntN(1 + rnd.IntN(300)) {
				remove = append(remove, order(rnd.IntN(1500)).ID)
			}
			for _, id := range remove {
				delete(model, id)
			}
			for _, in := range put {
				model[in.ID] = in
			}
			if rnd.IntN(4) == 0 {
				all := slices.Collect(maps.Values(model))
				rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				set = set.Replace(all)
			} else {
				set = set.Update(put, remove)
			}
			compare(t, set, model)
			for i := max(0, len(steps)-3); i < len(steps); i++ {
				compareDiff(t, set.Diff(steps[i].set), steps[i].model, model)
				compareDiff(t, steps[i].set.Diff(set), model, steps[i].model)
			}
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		for _, s := range steps {
			compare(t, s.set, s.model)
		}
	}
}

func compare(t *testing.T, set *discovery.Set, model map[string]discovery.Instance) {
	t.Helper()
	if got, want := ids(set), slices.Sorted(maps.Keys(model)); !slices.Equal(got, want) || set.Len() != len(want) {
		t.Fatalf("%d instances, Len %d, want %d", len(got), set.Len(), len(want))
	}
	for id, want := range model {
		if got := set.Get(id); got == nil || !got.Equal(&want) {
			t.Fatalf("Get(%q) = %v, want %v", id, got, want)
		}
	}
	for _, id := range []string{"", "order-", "order-99999", "z"} {
		if set.Get(id) != nil {
			t.Fatalf("Get(%q) found something", id)
		}
	}
}

func compareDiff(t *testing.T, d discovery.Diff, from, to map[string]discovery.Instance) {
	t.Helper()
	var added, removed, changed []string
	for id, in := range to {
		if old, ok := from[id]; !ok {
			added = append(added, id)
		} else if !old.Equal(&in) {
			changed = append(changed, id)
		}
	}
	for id := range from {
		if _, ok := to[id]; !ok {
			removed = append(removed, id)
		}
	}
	var gotChanged []string
	for _, c := range d.Changed {
		gotChanged = append(gotChanged, c.To.ID)
		if old := from[c.From.ID]; !c.From.Equal(&old) {
			t.Errorf("changed %s from something else than it was", c.From.ID)
		}
	}
	for _, c := range []struct {
		name      string
		got, want []string
	}{{"added", idsOf(d.Added), added}, {"removed", idsOf(d.Removed), removed}, {"changed", gotChanged, changed}} {
		slices.Sort(c.want)
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
	if d.Empty() != (len(added)+len(removed)+len(changed) == 0) {
		t.Error("Empty is wrong")
	}
}

func idsOf(instances []*discovery.Instance) []string {
	var out []string
	for _, in := range instances {
		out = append(out, in.ID)
	}
	return out
}

func TestSameAnswerIsTheSameSet(t *testing.T) {
	set := discovery.NewSet(ordersTo(1000)...)
	if again := set.Replace(ordersTo(1000)); again != set {
		t.Error("an equal answer made another set")
	}
	if again := set.Update(ordersTo(3), []string{"unknown"}); again != set {
		t.Error("an equal update made another set")
	}
	in := order(7)
	in.Weight = 2
	changed := set.Update([]discovery.Instance{in}, nil)
	for old := range set.All() {
		if now := changed.Get(old.ID); now != old && old.ID != in.ID {
			t.Fatalf("%s was not shared", old.ID)
		}
	}
}

func TestZeroSets(t *testing.T) {
	var none *discovery.Set
	one := discovery.NewSet(order(1))
	if none.Len() != 0 || none.Get("x") != nil || ids(none) != nil || !none.Diff(nil).Empty() || len(one.Diff(none).Added) != 1 || len(none.Diff(one).Removed) != 1 {
		t.Error("the nil set is not empty")
	}
	two := order(1)
	two.Weight = 9
	if s := discovery.NewSet(order(1), two); s.Len() != 1 || s.Get(two.ID).Weight != 9 {
		t.Error("of two with the same id, not the last one stayed")
	}
	if s := discovery.SetOf(one.All()); s.Get("order-00001") != one.Get("order-00001") {
		t.Error("SetOf copied")
	}
}

// bytesFor returns how many bytes f allocates.
func bytesFor(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestUpdateCostsWhatChanged: one change in ten thousand instances copies one chunk
// and the list of chunks, and comparing the two looks at one chunk.
func TestUpdateCostsWhatChanged(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	in := order(3)
	in.Weight = 2
	for _, n := range []int{10, 10_000} {
		set := discovery.NewSet(ordersTo(n)...)
		var next *discovery.Set
		if got := bytesFor(func() { next = set.Update([]discovery.Instance{in}, nil) }); got > 8<<10 {
			t.Errorf("one change of %d instances allocates %d bytes, want at most 8 KiB", n, got)
		}
		if got := testing.AllocsPerRun(10, func() { set.Update([]discovery.Instance{in}, nil) }); got > 8 {
			t.Errorf("one change of %d instances: %v allocations, want at most 8", n, got)
		}
		if got := testing.AllocsPerRun(10, func() { next.Diff(set) }); got > 1 {
			t.Errorf("the difference of one change of %d instances: %v allocations, want 1", n, got)
		}
	}
}

func TestMemoryPerInstance(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const n = 10_000
	texts := make([][]byte, n)
	for i := range texts {
		texts[i] = must[[]byte](t)(discovery.EncodeInstance(order(i)))
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	decode := func() []discovery.Instance {
		out := make([]discovery.Instance, n)
		for i, text := range texts {
			out[i] = must[discovery.Instance](t)(discovery.DecodeInstance(text))
		}
		return out
	}
	set := discovery.NewSet(decode()...)
	// Full answers, each with one change: it must not keep all that it came with.
	for i := range 5 {
		answer := decode()
		answer[i*97].Weight = 7
		set = set.Replace(answer)
	}
	per := (heap() - before) / n
	t.Logf("%d bytes an instance", per)
	if per > 1024 {
		t.Errorf("%d bytes an instance, want at most 1024", per)
	}
	runtime.KeepAlive(set)
	runtime.KeepAlive(texts)
}

func BenchmarkSetUpdate(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000} {
		set := discovery.NewSet(ordersTo(n)...)
		a, c := order(3), order(3)
		c.Weight = 2
		b.Run(fmt.Sprintf("one of %d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				in := a
				if i%2 == 0 {
					in = c
				}
				next := set.Update([]discovery.Instance{in}, nil)
				next.Diff(set)
				set = next
			}
		})
		b.Run(fmt.Sprintf("full answer of %d", n), func(b *testing.B) {
			answer := ordersTo(n)
			b.ReportAllocs()
			for b.Loop() {
				set.Replace(answer)
			}
		})
	}
}
