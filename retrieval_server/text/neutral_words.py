"""Words that do not tell the language of a description, and English words that word lists lack.

All in lower case, without accents.
"""

from __future__ import annotations

_BRANDS = """
    loreal oreal lancome kerastase estee lauder shu uemura garnier nivea maybelline vichy la roche
    posay clinique nyx dove pantene avene bioderma shiseido sk ii yves saint neutrogena olay cerave
    mac rimmel eucerin clarins schwarzkopf wella rexona innisfree laneige missha biotherm caudalie
    nuxe sisley paco giorgio calvin klein jean paul issey rodriguez carolina elizabeth arden helena
    rubinstein kiehl kiehls redken matrix essie opi revlon nars benefit tarte urban decay bobbi
    brown laura mercier hourglass sephora anastasia fenty huda charlotte tilbury pat mcgrath ouai
    olaplex moroccanoil aveda briogeo drunk elephant tatcha sulwhasoo etude nature republic cosrx
    klairs dermalogica decleor payot carita uriage svr ducray klorane rene furterer phyto filorga
    embryolisse bourjois catrice kiko essence artdeco babor weleda lavera logona balea natura
    boticario eudora avon oriflame faberlic jafra mary kay lush ordinary loccitane occitane serge
    creed penhaligons nina adolfo antonio mentholatum rohto biore kao kose wahl salvatore suavecito
    andis oster dyson ghd babyliss conair remington tweezerman lempicka kilian mancera montale
    nishane xerjoff amouage arpels chopard zegna missoni fendi darphin talika nioxin kenra joico
    davines kanebo canmake nakano lebel milbon goldwell himalaya lakme nykaa khadi biotique sunsilk
    tresemme palmolive colgate sensodyne braun philips gillette axe lynx fa dial softsoap yardley
"""
# Brands made of English words, which would make any title English.
_ENGLISH_BRANDS = """
    The Ordinary, The Body Shop, The Inkey List, The Face Shop, The Saem, The Balm, The Honest
    Company, Milk Makeup, Summer Fridays, Living Proof, Bumble and Bumble, Burt's Bees, Paula's
    Choice, Some By Mi, Tower 28, Drunk Elephant, Urban Decay, Too Faced, Glow Recipe, Youth To The
    People, First Aid Beauty, Beauty of Joseon, Good Molecules, Rare Beauty, Make Up For Ever,
    Makeup Revolution, Revolution Beauty, Bare Minerals, It Cosmetics, Real Techniques, Tangle
    Teezer, Sol de Janeiro, Color Wow, Not Your Mother's, Love Beauty and Planet, Herbal Essences,
    Head and Shoulders, Head Shoulders, Old Spice, Clean and Clear, Clean Clear, Max Factor,
    Wet n Wild, Physicians Formula, Hard Candy, Peter Thomas Roth, Ole Henriksen, Dr Bronner's,
    Peach Lily, Bath and Body Works, Bath Body Works, Victoria's Secret, David Beckham, American
    Crew, Soap and Glory, Soap Glory, Banana Boat, Hawaiian Tropic, Natural Honey
"""
# Houses whose perfumes have French, Italian and Spanish names in every country; accents as written.
_HOUSES = """
    armani chanel dior hermes hermès guerlain givenchy gucci prada versace valentino bvlgari bulgari
    cartier dolce gabbana ferragamo laurent ysl mugler gaultier cacharel ricci rabanne kenzo azzaro
    rochas lanvin chloe chloé balenciaga balmain loewe diptyque byredo lutens parma margiela
    kurkdjian marly lalique boucheron trussardi moschino cavalli biagiotti goutal berdoues narciso
    herrera miyake puig dominguez banderas hugo boss burberry davidoff montblanc lacoste
"""
_PERFUMERY = """
    eau eaux de parfum parfums toilette cologne homme femme le la les el d l du del et un une creme
    lait masque rouge rose noir blanc bleu nu nude belle beaute vie est nuit jour soleil or terre
    acqua di aqua colonia uomo donna paris london milano rio original intense extrait absolu absolue
    elixir serum libre sauvage bon bonne petit petite grand grande
"""
_LOANWORDS = "deja vu brulee cafe au eclat touche haute couture souffle"
_UNITS = "spf fl oz ml pcs pc ct edt edp uv uva uvb bb cc iu usa"

PERFUME_HOUSES = frozenset(_HOUSES.split())
NEUTRAL_WORDS = PERFUME_HOUSES | frozenset(
    " ".join((_BRANDS, _PERFUMERY, _LOANWORDS, _UNITS)).split()
)

# What a word list of general English lacks; found among the titles of English-language shops.
_BEAUTY = """
    concealer concealers unscented rollerball rollerballs caplets softgels exfoliator exfoliators
    exfoliants towelettes longwear handwash facewash bodywash longlasting smudgeproof transferproof
    lipgloss superfood superfoods multicolour chewables detangler volumizer luminizer hydrator
    heatless styler womens mens glowy scrunchies micellar perspirant bronzers moisturization
"""
ENGLISH_BEAUTY_WORDS = frozenset(_BEAUTY.split())
ENGLISH_BRANDS = tuple(" ".join(name.lower().split()) for name in _ENGLISH_BRANDS.split(","))
