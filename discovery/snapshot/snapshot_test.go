// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/snapshot"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var orders = discovery.Query{Namespace: "prod", Service: "order"}

func order(n int) discovery.Instance {
	in, err := discovery.Instance{
		Namespace: "prod", Service: "order", Address: fmt.Sprintf("10.0.%d.%d:8443", n/256, n%256), Zone: "eu",
		Metadata: map[string]string{"line": "a ü b"}, Health: discovery.HealthPassing,
	}.Normalized()
	if err != nil {
		panic(err)
	}
	return in
}

func set(n int) *discovery.Set {
	var instances []discovery.Instance
	for i := range n {
		instances = append(instances, order(i))
	}
	return discovery.NewSet(instances...)
}

func open(t testing.TB) (*snapshot.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "discovery")
	s, err := snapshot.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

// save stores n instances and returns the one file that there is.
func save(t testing.TB, s *snapshot.Store, dir string, n int) string {
	t.Helper()
	if err := s.Save(orders, discovery.Stored{Instances: set(n), At: at}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	return files[0]
}

var at = time.Date(2026, 11, 21, 8, 0, 0, 123, time.UTC)

func TestRoundTrip(t *testing.T) {
	s, dir := open(t)
	if _, err := s.Load(orders); !errors.Is(err, discovery.ErrNotStored) {
		t.Errorf("before anything was saved: %v", err)
	}
	for _, n := range []int{0, 1, 1000, 3} {
		file := save(t, s, dir, n)
		got, err := s.Load(orders)
		if err != nil {
			t.Fatal(err)
		}
		if !got.At.Equal(at) || !got.Instances.Diff(set(n)).Empty() || got.Instances.Len() != n {
			t.Errorf("%d instances came back as %d, of %v", n, got.Instances.Len(), got.At)
		}
		if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}
}

// TestDamage cuts the file short at every place, and changes every byte of it: what
// comes back is an error, and never a set.
func TestDamage(t *testing.T) {
	s, dir := open(t)
	file := save(t, s, dir, 3)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, text []byte) {
		t.Helper()
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Load(orders); err == nil || errors.Is(err, discovery.ErrNotStored) || !strings.Contains(err.Error(), file) {
			t.Fatalf("%s: %d instances, %v", what, got.Instances.Len(), err)
		}
	}
	for n := range len(good) {
		try(fmt.Sprintf("cut at %d", n), good[:n])
		bad := append([]byte(nil), good...)
		bad[n] ^= 1
		try(fmt.Sprintf("byte %d", n), bad)
	}
	try("twice", append(append([]byte(nil), good...), good...))
	save(t, s, dir, 2)
	if got, err := s.Load(orders); err != nil || got.Instances.Len() != 2 {
		t.Errorf("saved over damage: %v", err)
	}
}

func TestOfSomethingElse(t *testing.T) {
	s, dir := open(t)
	file := save(t, s, dir, 3)
	other := discovery.Query{Namespace: "prod2", Service: "order"}
	if err := s.Save(other, discovery.Stored{Instances: discovery.NewSet(), At: at}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(other); err != nil || got.Instances.Len() != 0 {
		t.Errorf("another namespace sees %d instances, %v", got.Instances.Len(), err)
	}
	// A file that was copied or renamed.
	if err := os.Rename(file, strings.Replace(file, "prod.", "prod2.", 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(other); !errors.Is(err, discovery.ErrForeignNamespace) || !strings.Contains(err.Error(), "it is of prod/order") {
		t.Errorf("got %v", err)
	}
	// A set with another's instances is not written.
	if err := s.Save(other, discovery.Stored{Instances: set(1), At: at}); err == nil {
		if _, err := s.Load(other); err == nil {
			t.Error("a set of another namespace was stored and came back")
		}
	}
	for _, q := range []discovery.Query{{}, {Namespace: "prod", Service: "../order"}, {Namespace: "..", Service: "order"}} {
		if err := s.Save(q, discovery.Stored{Instances: set(1), At: at}); err == nil {
			t.Errorf("%q is written", q)
		}
		if _, err := s.Load(q); err == nil || errors.Is(err, discovery.ErrNotStored) {
			t.Errorf("%q is read: %v", q, err)
		}
	}
}

func TestNames(t *testing.T) {
	s, dir := open(t)
	long := strings.Repeat("A", 128)
	for _, service := range []string{"order", "Order", "ORDER", "order.v1", "a-_b", long, long[:127] + "B"} {
		q := discovery.Query{Namespace: discovery.Namespace(strings.Repeat("n", 63)), Service: service}
		if err := s.Save(q, discovery.Stored{Instances: discovery.NewSet(), At: at}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(q); err != nil {
			t.Error(err)
		}
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	seen := map[string]bool{}
	for _, f := range files {
		seen[strings.ToLower(f)] = true
	}
	if len(seen) != 7 {
		t.Errorf("7 services have %d files: %v", len(seen), files)
	}
}

func TestWritableByOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no such modes")
	}
	s, dir := open(t)
	file := save(t, s, dir, 3)
	if err := os.Chmod(file, 0o622); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(orders); err == nil || !strings.Contains(err.Error(), "must not be writable by others") {
		t.Errorf("got %v", err)
	}
}

func TestClockWasWrong(t *testing.T) {
	s, _ := open(t)
	if err := s.Save(orders, discovery.Stored{Instances: set(1), At: time.Now().Add(1000 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(orders); err != nil || time.Until(got.At) > 0 {
		t.Errorf("of %v, %v", got.At, err)
	}
}

// TestCrash: what a process left half written is not read, and goes away some time.
func TestCrash(t *testing.T) {
	s, dir := open(t)
	save(t, s, dir, 3)
	half, young := filepath.Join(dir, ".1.instances.tmp"), filepath.Join(dir, ".2.instances.tmp")
	for _, name := range []string{half, young} {
		if err := os.WriteFile(name, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(half, old, old); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(orders); err != nil || got.Instances.Len() != 3 {
		t.Errorf("got %v", err)
	}
	if _, err := snapshot.Open(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(half); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("another process may be writing it: %v", err)
	}
}

func TestNoFolder(t *testing.T) {
	s, dir := open(t)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(orders, discovery.Stored{Instances: set(1), At: at}); !os.IsNotExist(errors.Unwrap(err)) {
		t.Errorf("got %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", file, filepath.Join(file, "x")} {
		if _, err := snapshot.Open(dir); err == nil || !strings.HasPrefix(err.Error(), "snapshot: ") {
			t.Errorf("%q: %v", dir, err)
		}
	}
}

// TestNothingIsLeftOver: a file that cannot be put in its place is taken away.
func TestNothingIsLeftOver(t *testing.T) {
	s, dir := open(t)
	file := save(t, s, dir, 1)
	if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(orders, discovery.Stored{Instances: set(2), At: at}); err == nil {
		t.Error("a folder was replaced")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestSharedFolder: while several write, whoever reads gets all of one of them.
func TestSharedFolder(t *testing.T) {
	_, dir := open(t)
	var wg sync.WaitGroup
	for n := 1; n <= 4; n++ {
		s, err := snapshot.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for range 20 {
				if err := s.Save(orders, discovery.Stored{Instances: set(n * 10), At: at}); err != nil {
					t.Error(err)
				}
				if got, err := s.Load(orders); err != nil || got.Instances.Len()%10 != 0 {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func FuzzLoad(f *testing.F) {
	s, dir := open(f)
	file := save(f, s, dir, 2)
	good, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("\n"))
	f.Add([]byte("sha256 \n"))
	f.Add([]byte("x\nsha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		// With a checksum that is right, so that the fuzzer gets past it.
		for _, text := range [][]byte{text, snapshot.Sum(text)} {
			got, err := snapshot.Decode(orders, text)
			if err != nil {
				continue
			}
			for in := range got.Instances.All() {
				if normal, err := in.Normalized(); err != nil || !normal.Equal(in) || !orders.Owns(in) {
					t.Fatalf("read an instance that is none: %+v", in)
				}
			}
			again, err := snapshot.Encode(orders, got)
			if err != nil {
				t.Fatalf("cannot be written again: %v", err)
			}
			back, err := snapshot.Decode(orders, again)
			if err != nil || !back.At.Equal(got.At) || !back.Instances.Diff(got.Instances).Empty() {
				t.Fatalf("round trip: %v", err)
			}
		}
	})
}
