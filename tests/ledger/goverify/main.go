// Goverify checks a log that Bailiwick wrote with software that is not ours: the notes and trees
// of golang.org/x/mod/sumdb. It shares no code and no author with what it checks.
//
// Usage: goverify VKEY DIR [OLDER-CHECKPOINT]
//
// It opens the checkpoint, reads every leaf hash through authenticated tiles, compares each with
// the entry in its bundle, proves and checks records across the log, proves and checks the tree
// against the older checkpoint, and prints the size. Any mismatch ends it with status 1.
//
// Usage: goverify -proof VKEY FILE checks one tlog-proof and prints its entry.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8
const width = 1 << height

func main() {
	log.SetFlags(0)
	log.SetPrefix("goverify: ")
	if len(os.Args) == 4 && os.Args[1] == "-proof" {
		checkProof(os.Args[2], read(os.Args[3]))
		return
	}
	if len(os.Args) < 3 {
		log.Fatal("usage: goverify VKEY DIR [OLDER-CHECKPOINT]")
	}
	dir := directory(os.Args[2])
	tree := open(os.Args[1], read(filepath.Join(string(dir), "checkpoint")))
	hashes := tlog.TileHashReader(tree, dir)
	checkEntries(tree, hashes, dir)
	checkRecords(tree, hashes)
	if len(os.Args) > 3 {
		checkTree(tree, hashes, open(os.Args[1], read(os.Args[3])))
	}
	fmt.Println(tree.N)
}

// open verifies a checkpoint: a signed note of origin, size and root.
func open(vkey string, message []byte) tlog.Tree {
	verifier, err := note.NewVerifier(vkey)
	check(err)
	opened, err := note.Open(message, note.VerifierList(verifier))
	check(err)
	if len(opened.Sigs) != 1 || len(opened.UnverifiedSigs) != 0 {
		log.Fatal("the checkpoint has other signatures than the log's")
	}
	// note.Open takes base64 whose unused bits are set; one spelling is enough for us.
	_, err = base64.StdEncoding.Strict().DecodeString(opened.Sigs[0].Base64)
	check(err)
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
		log.Fatalf("not a checkpoint of %s: %q", verifier.Name(), opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	check(err)
	if len(root) != tlog.HashSize {
		log.Fatal("the root has the wrong length")
	}
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], root)
	return tree
}

// A directory is a tlog.TileReader over C2SP tlog-tiles paths, which leave out the tile height.
type directory string

func (dir directory) Height() int { return height }

func (dir directory) SaveTiles([]tlog.Tile, [][]byte) {}

func (dir directory) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		data, err := os.ReadFile(dir.path(tile))
		if err != nil {
			return nil, err
		}
		if len(data) != tile.W*tlog.HashSize {
			return nil, fmt.Errorf("%s has %d bytes", dir.path(tile), len(data))
		}
		all = append(all, data)
	}
	return all, nil
}

func (dir directory) path(tile tlog.Tile) string {
	path := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height))
	path = strings.Replace(path, "data/", "entries/", 1)
	return filepath.Join(string(dir), "tile", path)
}

// checkEntries compares every entry of every bundle with its authenticated leaf hash.
func checkEntries(tree tlog.Tree, hashes tlog.HashReader, dir directory) {
	for start := int64(0); start < tree.N; start += width {
		tile := tlog.Tile{H: height, L: -1, N: start / width, W: width}
		if tree.N-start < width {
			tile.W = int(tree.N - start)
		}
		var indexes []int64
		for i := 0; i < tile.W; i++ {
			indexes = append(indexes, tlog.StoredHashIndex(0, start+int64(i)))
		}
		leaves, err := hashes.ReadHashes(indexes)
		check(err)
		rest := read(dir.path(tile))
		for i, leaf := range leaves {
			var entry []byte
			entry, rest = next(rest)
			if tlog.RecordHash(entry) != leaf {
				log.Fatalf("entry %d is not the one in the tree", start+int64(i))
			}
		}
		if len(rest) != 0 {
			log.Fatalf("%d bytes follow the last entry of %s", len(rest), dir.path(tile))
		}
	}
}

func next(data []byte) (entry, rest []byte) {
	if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
		log.Fatal("a bundle ends too early")
	}
	length := int(binary.BigEndian.Uint16(data))
	return data[2 : 2+length], data[2+length:]
}

// checkRecords proves and checks records: the ends, each tile's borders, and many between.
func checkRecords(tree tlog.Tree, hashes tlog.HashReader) {
	step := tree.N/200 + 1
	for i := int64(0); i < tree.N; i++ {
		if i%step != 0 && i > 2 && i < tree.N-3 && (i+1)%(width*32) > 1 {
			continue
		}
		proof, err := tlog.ProveRecord(tree.N, i, hashes)
		check(err)
		leaf, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, i)})
		check(err)
		check(tlog.CheckRecord(proof, tree.N, tree.Hash, i, leaf[0]))
	}
}

// checkTree proves and checks that the tree begins with the older one.
func checkTree(tree tlog.Tree, hashes tlog.HashReader, older tlog.Tree) {
	proof, err := tlog.ProveTree(tree.N, older.N, hashes)
	check(err)
	check(tlog.CheckTree(proof, tree.N, tree.Hash, older.N, older.Hash))
}

// checkProof verifies a c2sp.org/tlog-proof@v1 text that carries its entry as extra data.
func checkProof(vkey string, text []byte) {
	parts := bytes.SplitN(text, []byte("\n\n"), 2)
	lines := strings.Split(string(parts[0]), "\n")
	if len(parts) != 2 || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		log.Fatal("not a tlog-proof")
	}
	tree := open(vkey, parts[1])
	entry, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(lines[1], "extra "))
	check(err)
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	check(err)
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		check(err)
		proof = append(proof, hash)
	}
	check(tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)))
	os.Stdout.Write(entry)
}

func read(name string) []byte {
	data, err := os.ReadFile(name)
	check(err)
	return data
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
