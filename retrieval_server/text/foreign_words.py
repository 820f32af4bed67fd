"""Words by which the language filter knows another language.

All in lower case; those of shops without accents, as careless sellers write them.
"""

from __future__ import annotations

# Articles, prepositions and conjunctions that neither English titles nor names of products have.
_FUNCTION_WORDS = """
    pour avec sans aux dans à para sin las una más com sem das uma für mit ohne und der dem zum zur
    gli della delle degli senza voor zonder het een och för med utan till av på til uden og dla bez
    od pentru cu fără şi și din için ve ile untuk dengan dari yang bagi
"""
# What shops say of skin, hair and care; brands use hardly any of it in English.
_FRENCH = """
    peau peaux cheveux levres ongles cils sourcils hydratant hydratante hydratation nettoyant
    nettoyante moussant moussante apaisant apaisante nourrissant nourrissante reparateur reparatrice
    demaquillant demaquillante purifiant purifiante fortifiant fortifiante raffermissant
    raffermissante protecteur protectrice lissant lissante demelant shampooing shampoing gommage
    soin soins savon huile brosse maquillage poudre paupieres vernis corps mains pieds douche rasage
    rasoir lingettes dissolvant coiffant antirides seche seches gras sensibles abimes boucles
    quotidien quotidienne emballage livraison gratuite
"""
_SPANISH = """
    piel pieles cabello cabellos pelo unas labios pestanas cejas ojos rostro cuerpo manos hidratante
    hidratacion limpiador limpiadora limpieza reparador reparadora reparacion nutritiva nutritivo
    suavizante regenerador regeneradora exfoliante desmaquillante maquillaje mascarilla champu jabon
    aceite esmalte desodorante acondicionador locion sombra sombras delineador rimel rizador rizos
    rizado cepillo peine tinte polvos rubor manicura afeitar afeitado cuidado diario tratamiento
    espuma toallitas seca secas graso grasa sensibles antiedad antiarrugas antimanchas arrugas caspa
    caida mujer noche lapiz frasco estuche envio nuevo
"""
_PORTUGUESE = """
    pele cabelo cabelos unhas labios olhos rosto corpo maos batom sabonete condicionador hidratacao
    maquiagem maquilhagem protetor desodorizante sobrancelha sobrancelhas cilios escova limpeza
    noturno noturna diurno oleo oleosa oleosas capilar capilares cacheados cachos ressecados secos
    tonico locao barbear antissinais rugas clareador masculino masculina feminino feminina lacrado
    frete embalagem pincel
"""
_ITALIAN = """
    pelle pelli capelli labbra unghie occhi ciglia sopracciglia viso piedi corpo doccia idratante
    rossetto bagnoschiuma detergente struccante smalto ombretto cipria fondotinta correttore matita
    spazzola pettine sapone balsamo siero antirughe rughe secchi secca grassi sensibili protezione
    solare deodorante dopobarba rasatura schiuma nutriente rinforzante delicato delicata notte
    giorno trucco confezione spedizione
"""
_GERMAN = """
    lidschatten lippen puder grundierung seife flussigseife duschgel duschbad badesalz spulung
    handcreme fusscreme zahnpasta zahncreme pinsel burste pflege tagescreme nachtcreme empfindliche
    fettiges damen herren duft entferner wasserfest versandkostenfrei
"""
_DUTCH = """
    dagcreme nachtcreme handzeep zeep douchegel doucheschuim badschuim oogpotlood oogcreme tandpasta
    borstel verzorging verzorgende voedende micellair droge droog gevoelige vrouwen mannen heren
    nieuw verpakking verzending poeder vloeibare
"""
_NORDIC = """
    hudvard hudkram handkram dagkram nattkram ogonskugga ogonkram lappbalsam harinpackning harborste
    harolja schampo duschkram duschtval tval solskydd solkram tandkram flytande torr torrt kanslig
    smink hudpleje harpleje dagcreme natcreme tandpasta rensevand rensegel barberskum flydende
    dagkrem nattkrem handkrem solkrem leppestift tannkrem voide hoitoaine saippua suihkusaippua
    aurinkovoide deodorantti hajuvesi puuteri hammastahna yovoide paivavoide kuiva kuivalle iho
    iholle hiukset hiuksille
"""
_SLAVIC = """
    krem kremy odzywka maseczka mydlo pomadka szminka tusz lakier ciala dloni skory suchej wrazliwej
    prysznic prysznica woda toaletowa mleczko micelarny kredka oczu rzes przeciwzmarszczkowy
    dezodorant pedzel szczotka podklad korektor damska meska sampon kondicioner rtenka nehty nehtu
    vlasy plet mleko cistici parfemovana toaletni zubni opalovaci suchou citlivou rasenka stiny
    skora
"""
_OTHERS = """
    kremi sabun sabunu oje ruj maskara allik fondoten kapatici pudra parfumu cilt cildi yuz saclar
    tirnak dudak vucut jeli losyon losyonu temizleme gunes bakim yagi serumu maskesi fircasi kuru
    hassas kadin erkek kalemi mandi krim pelembap wajah muka kulit rambut bibir kuku alis pensil
    bedak tabur lipstik sampo kondisioner minyak losion tubuh penghapus tabir pria wanita pencuci
    malam siang kering sensitif ongkir berminyak jerawat pewarna sikat szappan tusfurdo ruzs
    koromlakk testapolo arckrem kezkrem napozo borapolo hajolaj fogkrem szaraz ferfi sapun unghii
    piele maini hidratanta hidratant lotiune ulei micelara protectie demachianta demachiant creion
    ochi buze uscat deteriorat noapte
"""
# What words of care begin with in languages that write or bend them as one: haarspray, ansiktskräm.
# They are not among the words above, but for those that English has as well.
_STEMS = """
    haar haut gesicht lippen augen sonnen rasier feuchtigkeit reinigung nagel korper trocken huid
    gezicht oogschaduw wenkbrauw zonne scheer reiniging wimper hydrater ansikt kropps rengor rakskum
    ogonbryn lappst fuktighet ansigt fugtig neglel solcreme kasvo hius huuli kynsi vartalo puhdistus
    kosteus meikki silma luomi ripsi nawilz paznok wlos twarz szampon perfumow pletov telov sprchov
    nemlendir sampuan temizley pelembab pembersih membersih melembab hidratal arctiszt szempill
    hajbalzs
"""

FOREIGN_FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
FOREIGN_BEAUTY_WORDS = frozenset(
    word
    for language in (
        _FRENCH,
        _SPANISH,
        _PORTUGUESE,
        _ITALIAN,
        _GERMAN,
        _DUTCH,
        _NORDIC,
        _SLAVIC,
        _OTHERS,
    )
    for word in language.split()
)
FOREIGN_STEMS = tuple(_STEMS.split())
