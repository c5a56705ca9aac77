// Command motte-task-geo is the Task of indexes of places: it keeps points, lines and polygons,
// and answers predicates such as
//
//	within box 5.9 45.8 10.5 47.8
//	intersects polygon ((7 46, 8 46, 8 47, 7 46))
//	nearest 48.85 2.35
//
// Configuration, in JSON: "path" is the JSON Pointer (RFC 6901) to a GeoJSON geometry (RFC 7946) in
// the input. "lat" and "lng" are pointers to the two numbers of a point instead.
// docs/reference/tasks/geo.md is the full text.
//
// # How it works
//
// The map is flat: x is the longitude and y the latitude, as RFC 7946 says. Distances are those on
// a sphere.
//
// A curve of Morton (Z-order) visits all cells of the map, and gives each place a key. A B-tree has
// the keys in order. Each cell of a quadtree is a range of keys. So the quadtree needs no memory of
// its own, and answers have a stable order. Points are one layer of the map. Each further layer has
// shapes up to some size, by the south-western corners of their boxes. A cell of such a layer
// reaches that far beyond its north-eastern corner.
//
// # Invariants
//
//  1. Under each identity value the index holds the geometry of at most one identity: the last
//     that was inserted.
//  2. Each geometry is valid, lies on the map, and has at most maxVertices vertices.
//  3. A region's answer is in the order of layer, key and value. An answer by distance is in the
//     order of distance and value. So an object that does not change is never on two pages.
//  4. A search counts its steps, and ends after maxWork steps.
package main

import "motte/sdk"

func main() { sdk.Serve(&index{}) }
