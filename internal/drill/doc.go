// SPDX-License-Identifier: Apache-2.0

// Package drill runs services in processes of their own, restarts and kills them
// and takes their registry away while they are called, and counts what callers
// lose. The tests of each registry run the same drills against a real one.
//
//	func TestMain(m *testing.M) { drill.Main(m, open) } // a child is this binary, too
//
//	func TestRollingRestart(t *testing.T) {
//		fleet := drill.NewFleet(t, map[string]string{"REGISTRY": addr})
//		back := fleet.Start("back", 3, drill.Config{})
//		load := drill.NewLoad(t, catalog, "back")
//		…
//		load.Stop().WantNoFailure(t)
//	}
//
// It is for the tests of this repository: what it runs is a service of its own,
// not the user's.
package drill
