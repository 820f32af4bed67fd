"""The assortment: a table of all product lines and their variants.

A row without indent is a line: brand | name | category | kind | packaging | price. The indented
rows below are its variants: shade or scent ("-" for none) | size | hex colour of the content (or of
the package, if it is dyed). Each variant is an item.
"""

ASSORTMENT = """
Velmora | Midnight Repair | skincare | night serum | amber-dropper | 34.90
    - | 30 ml | #b8763a
Orrinsby | Carrot Seed Revival | skincare | face oil | amber-dropper | 29.50
    - | 30 ml | #c0702a
Kindroot | Wild Rosehip | skincare | face oil | amber-dropper | 18.90
    - | 30 ml | #b56a2c
Kaolune | Dew Veil | skincare | hydrating serum | frosted-dropper | 27.90
    - | 30 ml | #f0dcd0
Lumoselle | Glass Petal | skincare | hydrating serum | frosted-dropper | 32.50
    - | 30 ml | #f3d3d6
    - | 50 ml | #f3d3d6
Solvanne | Abyss Peptide | skincare | firming serum | cobalt-dropper | 44.00
    - | 30 ml | #2a55a8
Halden Vey | Fjord Retinal | skincare | firming serum | cobalt-dropper | 49.00
    - | 30 ml | #274a90
Cassavelle | Second Canvas | makeup | foundation | foundation-pump | 26.90
    Porcelain | 30 ml | #ecd0b5
    Honey Amber | 30 ml | #cf9a68
    Deep Umber | 30 ml | #744529
Noctaire | Velvet Alibi | makeup | foundation | foundation-pump | 39.50
    Ivory Hush | 30 ml | #edd3b9
Mirabethe | Skin Sonnet | makeup | foundation | frosted-foundation-pump | 31.00
    Almond Milk | 30 ml | #dcb48d
    Cinnamon Silk | 30 ml | #b37a4e
Zephrine | Airlight | makeup | foundation | frosted-foundation-pump | 24.50
    Bare Linen | 30 ml | #e2bf9d
Orrinsby | Cedar & Clove | body | hand wash | apothecary-pump | 16.50
    - | 500 ml | #6a3c16
Quillaby | Fig Orchard | body | hand wash | apothecary-pump | 12.90
    - | 500 ml | #734418
Brindlehart | Barber's Oath | hair | shampoo | apothecary-pump | 14.90
    - | 400 ml | #5f3512
Tindra Lab | Barrier 5.5 | body | body lotion | white-pump | 15.90
    - | 400 ml | #ffffff
Halden Vey | Quiet Linen | body | body lotion | white-pump | 21.90
    - | 400 ml | #ffffff
Kindroot | Oat Cloud | body | body lotion | pastel-pump | 13.50
    - | 350 ml | #e8dcc2
Marisalt | Tidepool | body | shower gel | pastel-pump | 11.90
    Kelp & Lime | 350 ml | #b6d8cd
    Pink Coral | 350 ml | #edc0b6
Fennowick | Hedgerow | body | shower gel | pastel-pump | 12.50
    Elderflower Mint | 350 ml | #c3d6ae
Pomelora | Zest Riot | hair | shampoo | oval-shampoo | 9.90
    Blood Orange | 300 ml | #e2703a
Fennowick | Nettle Brook | hair | shampoo | oval-shampoo | 10.90
    - | 300 ml | #7c9a6c
Kindroot | Sage Remedy | hair | conditioner | oval-shampoo | 11.50
    - | 300 ml | #86a078
Marisalt | Salt Curl | hair | conditioner | oval-shampoo | 12.40
    - | 300 ml | #3f8f96
Yukiora | Rice Water No. 3 | skincare | toner | clear-toner | 21.00
    - | 150 ml | #f1ead8
Solvanne | Brine Reset | skincare | toner | clear-toner | 19.80
    - | 150 ml | #bfe0e6
Tindra Lab | Zinc Shield 50 | skincare | sunscreen | white-tube | 17.90
    - | 50 ml | #ffffff
Solvanne | Sun Anchor | skincare | sunscreen | white-tube | 22.90
    - | 50 ml | #ffffff
Kaolune | Pink Earth | skincare | face mask | pastel-tube | 16.90
    - | 75 ml | #e3b7a6
Mirabethe | Peony Hush | body | hand cream | pastel-tube | 11.90
    - | 75 ml | #e8b9c0
Fennowick | Lavender Lane | body | hand cream | pastel-tube | 10.90
    - | 75 ml | #c3b4dc
Brindlehart | Coalface | skincare | face scrub | charcoal-tube | 13.90
    - | 100 ml | #222222
Noctaire | Carbon Rite | skincare | face scrub | charcoal-tube | 22.50
    - | 100 ml | #222222
Quillaby | Gardener's Rescue | body | hand cream | foil-hand-tube | 9.50
    Rosemary Tin | 50 ml | #ffffff
Éclat d'Or | Mains de Soie | body | hand cream | foil-hand-tube | 18.50
    - | 50 ml | #ffffff
Éclat d'Or | Lumière Royale | skincare | face cream | white-gold-jar | 69.00
    - | 50 ml | #fff8ea
Velmora | Swan Hour | skincare | face cream | white-gold-jar | 52.00
    - | 50 ml | #fff8ea
Lumoselle | Dawn Butter | skincare | eye cream | white-gold-jar | 39.00
    - | 15 ml | #fff8ea
Yukiora | Snow Camellia | skincare | face cream | frosted-jar | 34.00
    - | 50 ml | #f4e9e4
Zephrine | Cloud Whip | skincare | face cream | frosted-jar | 26.00
    - | 50 ml | #ece6f2
Quillaby | Hearth Balm | body | body butter | amber-jar | 15.90
    - | 200 ml | #8c5a26
Orrinsby | Tallow & Thyme | body | body butter | amber-jar | 19.90
    - | 200 ml | #85521f
Noctaire | Last Call | makeup | lipstick | black-lipstick | 28.00
    Rouge Verdict | 3.5 g | #a3182b
    Plum Motive | 3.5 g | #64203f
Cassavelle | Bold Ledger | makeup | lipstick | black-lipstick | 14.50
    Brick Waltz | 3.5 g | #a8402f
    Fuchsia Riot | 3.5 g | #c51d6a
Mirabethe | Petal Kiss | makeup | lipstick | rose-lipstick | 19.90
    Tea Rose | 3.8 g | #c56f72
Lumoselle | Soft Focus | makeup | lipstick | rose-lipstick | 23.50
    Nude Mirage | 3.8 g | #bf8069
Éclat d'Or | Rouge Impérial | makeup | lipstick | ivory-lipstick | 36.00
    Grenat | 3.5 g | #8e1426
Zephrine | Featherstain | makeup | lipstick | ivory-lipstick | 16.90
    Coral Drift | 3.5 g | #e0604e
Lumoselle | Mirror Pout | makeup | lip gloss | gold-gloss | 16.90
    Peach Fizz | 6 ml | #f0a083
    Mauve Static | 6 ml | #b27a90
Pomelora | Juice Box | makeup | lip gloss | gold-gloss | 8.90
    Guava | 6 ml | #e56a72
Cassavelle | Wet Paint | makeup | lip gloss | black-gloss | 12.50
    Cherry Cola | 6 ml | #8d1c2c
Noctaire | Afterglow | makeup | lip gloss | black-gloss | 19.50
    Copper Whisper | 6 ml | #b5683f
Noctaire | Long Shadow | makeup | mascara | black-mascara | 24.00
    - | 9 ml | #111111
Cassavelle | Lash Treaty | makeup | mascara | black-mascara | 13.50
    - | 9 ml | #111111
Mirabethe | Doe Eyed | makeup | mascara | rose-mascara | 17.90
    - | 10 ml | #111111
Pomelora | Pop Lacquer | nails | nail polish | black-cap-polish | 6.90
    Tangerine Dream | 10 ml | #ef6a2c
Cassavelle | Ten Fingers | nails | nail polish | black-cap-polish | 9.50
    Oxblood | 10 ml | #6a1320
    Tangelo | 10 ml | #e9622c
Yukiora | Lacquer Study | nails | nail polish | square-polish | 12.50
    Indigo Dusk | 10 ml | #2c3a78
    Matcha Fog | 10 ml | #8fa176
Marisalt | Seaglass | nails | nail polish | square-polish | 10.50
    Lagoon | 10 ml | #2f9a9c
D'Avernay | Jardin Clos | fragrance | eau de parfum | slab-flacon | 89.00
    - | 50 ml | #efc9b8
    - | 100 ml | #efc9b8
Éclat d'Or | L'Heure Dorée | fragrance | eau de parfum | slab-flacon | 98.00
    - | 50 ml | #f1cf9a
Velmora | Blue Hour | fragrance | eau de parfum | round-flacon | 76.00
    - | 60 ml | #b9c4ea
Marisalt | Harbour Mist | fragrance | eau de toilette | round-flacon | 49.00
    - | 60 ml | #b4dbe4
D'Avernay | Cuir d'Hiver | fragrance | eau de parfum | noir-flacon | 112.00
    - | 75 ml | #1a1a1a
Noctaire | Vesper Oud | fragrance | eau de parfum | noir-flacon | 94.00
    - | 75 ml | #1a1a1a
Cassavelle | Nine Lives | makeup | eyeshadow palette | black-palette | 32.00
    Desert Noir | 12 g | #b06a3c
Noctaire | Private View | makeup | eyeshadow palette | black-palette | 46.00
    Burnt Opera | 12 g | #a8583c
Lumoselle | Blush Hours | makeup | eyeshadow palette | rose-palette | 37.00
    Rosy Nudes | 12 g | #c98579
Mirabethe | Bouquet | makeup | eyeshadow palette | rose-palette | 29.00
    Garden Mauves | 12 g | #b37a97
Noctaire | Silk Verdict | makeup | pressed powder | black-compact | 34.00
    Fair Linen | 9 g | #e3c3a2
Cassavelle | Matte Court | makeup | pressed powder | black-compact | 17.50
    Warm Sand | 9 g | #d3a77c
Zephrine | Whisper Blush | makeup | blush | ivory-compact | 16.90
    Apricot Sigh | 6 g | #e59a7f
Kaolune | Terracotta Kiss | makeup | blush | ivory-compact | 18.50
    Rose Clay | 6 g | #d0827a
Yukiora | Moon Bath | skincare | sheet mask | pearl-sachet | 3.90
    Pearl Rice | 25 ml | #d7dfe8
Kaolune | Slow Sunday | skincare | sheet mask | pearl-sachet | 3.50
    Oat Milk | 25 ml | #ead9c8
Quillaby | Market Day | body | soap bar | wrapped-soap | 5.90
    Goat's Milk & Honey | 120 g | #ead7a8
Fennowick | Potting Shed | body | soap bar | wrapped-soap | 6.50
    Tomato Leaf | 120 g | #a9b98a
"""
