"""Words that the language filter must know: brands, perfumery, function words, what shops say.

All in lower case, and without accents but for ``FOREIGN_FUNCTION_WORDS``.
"""

from __future__ import annotations

_BRANDS = """
    loreal oreal lancome kerastase estee lauder shu uemura garnier nivea maybelline vichy la roche
    posay clinique nyx dove pantene avene bioderma shiseido sk ii yves saint laurent ysl dior chanel
    neutrogena olay cerave mac rimmel eucerin clarins guerlain schwarzkopf wella rexona innisfree
    laneige missha dolce gabbana hugo boss biotherm caudalie nuxe sisley givenchy hermes chloe paco
    rabanne armani giorgio versace gucci prada burberry bvlgari cartier kenzo lanvin rochas mugler
    azzaro davidoff calvin klein lacoste montblanc jean paul gaultier issey miyake narciso rodriguez
    carolina herrera elizabeth arden helena rubinstein kiehl kiehls redken matrix essie opi revlon
    nars benefit tarte urban decay bobbi brown laura mercier hourglass sephora anastasia fenty huda
    charlotte tilbury pat mcgrath ouai olaplex moroccanoil aveda briogeo drunk elephant tatcha
    sulwhasoo etude nature republic cosrx klairs dermalogica decleor payot carita uriage svr ducray
    klorane rene furterer phyto filorga embryolisse bourjois catrice kiko essence artdeco babor
    weleda lavera logona balea natura boticario eudora avon oriflame faberlic jafra mary kay lush
    ordinary loccitane occitane parma serge lutens byredo diptyque creed penhaligons nina ricci
    balmain balenciaga loewe puig adolfo dominguez antonio banderas mentholatum rohto biore kao kose
    kanebo canmake nakano lebel milbon goldwell himalaya lakme nykaa khadi biotique sunsilk tresemme
    palmolive colgate sensodyne braun philips gillette axe lynx fa dial softsoap yardley
"""
_PERFUMERY = """
    eau eaux de parfum parfums toilette cologne homme femme le la les el d l du del et un une creme
    lait masque rouge rose noir blanc bleu nu nude belle beaute vie est nuit jour soleil or terre
    acqua di aqua colonia uomo donna paris london milano rio original intense extrait absolu absolue
    elixir serum libre sauvage bon bonne petit petite grand grande
"""
_LOANWORDS = "deja vu brulee cafe au eclat touche haute couture souffle"
_UNITS = "spf fl oz ml pcs pc ct edt edp uv uva uvb bb cc iu usa"

NEUTRAL_WORDS = frozenset(" ".join((_BRANDS, _PERFUMERY, _LOANWORDS, _UNITS)).split())

# What a word list of general English lacks; found among the titles of English-language shops.
_BEAUTY = """
    concealer concealers unscented rollerball rollerballs caplets softgels exfoliator exfoliators
    exfoliants towelettes longwear handwash facewash bodywash longlasting smudgeproof transferproof
    lipgloss superfood superfoods multicolour chewables detangler volumizer luminizer hydrator
    heatless styler womens mens glowy scrunchies micellar perspirant bronzers moisturization
"""
ENGLISH_BEAUTY_WORDS = frozenset(_BEAUTY.split())

# Articles, prepositions and conjunctions that neither English titles nor names of products have.
_FUNCTION_WORDS = """
    pour avec sans aux dans à para sin las una más com sem das uma für mit ohne und der dem zum zur
    gli della delle degli senza voor zonder het een och för med utan till av på til uden og dla bez
    od pentru cu fără şi și din için ve ile untuk dengan dari yang bagi
"""
# What shops say of skin, hair and care in other languages; brands use hardly any of it in English.
_FOREIGN_BEAUTY = """
    peau peaux cheveux levres ongles cils hydratant hydratante nettoyant nettoyante moussant
    moussante apaisant apaisante nourrissant nourrissante reparateur reparatrice demaquillant
    demaquillante shampooing gommage soin soins seche seches sensibles douche vernis corps mains
    piel pieles cabello cabellos unas labios hidratante limpiador limpiadora champu jabon aceite
    reparador reparadora mascarilla pestanas esmalte desodorante acondicionador manos cuerpo rostro
    pele cabelo cabelos unhas batom sabonete condicionador maos corpo
    pelle capelli labbra unghie idratante rossetto viso bagnoschiuma detergente struccante smalto
    haut haare feuchtigkeitscreme duschgel reinigung gesicht lippenstift nagellack spulung pflege
    seife wimpern handcreme huid gezicht skora twarzy wlosow szampon cilt kulit wajah rambut
"""
FOREIGN_BEAUTY_WORDS = frozenset(_FOREIGN_BEAUTY.split())
FOREIGN_FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
